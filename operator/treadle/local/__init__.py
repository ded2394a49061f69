"""Kubernetes in one process, for tests and for the laptop."""
