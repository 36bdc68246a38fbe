"""Batches: the loader, samplers, prefetching and augmentation."""
