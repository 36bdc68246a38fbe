"""HTTP over predictors: one process, any number of bundles, no torch for ONNX models."""
