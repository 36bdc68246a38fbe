"""A Dataset to batches: loader, samplers, prefetching, augmentation."""
