"""Pictures of worked examples, one module per example."""
