"""The requests of the page, by view."""
