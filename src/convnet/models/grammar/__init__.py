"""Networks written as text: patterns of layers, and pipelines of features and a model."""
