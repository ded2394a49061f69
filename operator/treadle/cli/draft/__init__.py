"""From a file of rows to four manifests: what is in it, what that suggests, and how it is written down."""
