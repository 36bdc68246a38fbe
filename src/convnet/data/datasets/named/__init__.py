"""Named data sets: bundled with the package, found on disk, or downloaded."""
