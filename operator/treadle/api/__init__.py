"""The four kinds, and the documents by which the programs meet."""
