"""What a request will change, worked out from what was read before the request is set."""
