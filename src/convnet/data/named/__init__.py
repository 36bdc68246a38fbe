"""The data sets that convnet knows by name: where their files are, and how they are read."""
