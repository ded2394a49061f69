"""Training: from a dataset version to a judged model version."""
