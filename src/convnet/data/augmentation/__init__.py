"""What happens to training images at random, a batch at a time (M45)."""
