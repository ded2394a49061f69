"""Treadle: the machine-learning life cycle as four Kubernetes objects."""

__version__ = "0.1.0"
