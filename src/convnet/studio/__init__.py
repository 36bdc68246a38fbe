"""The studio: a local web page that trains networks, looks into them and reviews data."""
