"""From a trained network to predictions: no trainer, no recipes."""
