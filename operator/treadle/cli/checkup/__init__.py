"""What `treadle doctor` reads of a cluster, and what that means."""
