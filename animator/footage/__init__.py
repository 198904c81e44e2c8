"""Training data cut from footage."""
