"""The studio: a local web page to train networks, inspect them and review data."""
