"""Bytes to pixels: decoding, orientation, resizing, preprocessing, degradations."""
