"""From the bytes of an image file to uint8 pixels of the size that a network takes."""
