"""The operator: four kinds, reconciled."""
