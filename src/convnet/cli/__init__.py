"""One thin module per command; the work is done in `convnet.workflows`."""
