"""A manifest or arrays to a Dataset: identify, open, adapt."""
