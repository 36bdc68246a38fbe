"""`convnet draw …`: pictures of ideas, from numbers or images of one's own."""

from convnet.cli.draw.app import app

__all__ = ["app"]
