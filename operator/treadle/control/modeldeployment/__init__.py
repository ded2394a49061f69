"""The reconciler of ModelDeployment."""
