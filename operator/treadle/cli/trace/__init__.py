"""Versions and runs, from what objects say and, with the right to read it, from the bucket."""
