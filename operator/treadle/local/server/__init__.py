"""The API server in memory, and its wire format over HTTP."""
