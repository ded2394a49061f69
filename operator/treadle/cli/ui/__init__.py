"""The page: one for each model, an index of them, read-only, from what the user may read."""
