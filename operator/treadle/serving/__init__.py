"""Serving: from a release plan to answers."""
