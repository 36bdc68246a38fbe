"""Image files wherever they lie, listed with their labels, and read as a source."""
