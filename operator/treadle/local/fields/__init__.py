"""Fields and their owners, as structured-merge-diff v6 keeps them."""
