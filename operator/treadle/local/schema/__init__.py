"""What an object of ours must be like, and what becomes of it before it is stored."""
