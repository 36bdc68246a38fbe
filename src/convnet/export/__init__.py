"""Bundles: trained networks as folders that predict the same everywhere. Opening one imports no torch."""

from convnet.export.bundle import Bundle, is_bundle, load_bundle
from convnet.export.manifest import Manifest

__all__ = ["Bundle", "Manifest", "is_bundle", "load_bundle"]
