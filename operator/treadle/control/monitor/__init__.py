"""The reconciler of Monitor."""
