"""Images: decoding, orientation, resizing, preprocessing and degradations."""
