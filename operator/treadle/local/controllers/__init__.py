"""The controllers of Jobs and Deployments."""
