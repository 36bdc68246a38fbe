"""A path to a manifest of samples: folders, tables, COCO, shards, series; storage and caches."""
