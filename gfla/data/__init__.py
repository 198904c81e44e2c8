"""Training data: packed faces and their random variations."""
