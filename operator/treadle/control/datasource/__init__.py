"""The reconciler of DataSource."""
