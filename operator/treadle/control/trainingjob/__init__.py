"""The reconciler of TrainingJob."""
