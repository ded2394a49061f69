"""Monitoring: from a window of predictions to a verdict."""
