"""Files of manifests, judged without a cluster: what is in them, and what the API server and the operator would say."""
