"""What is wrong with image files: scanned, compared with each other, and reported."""
