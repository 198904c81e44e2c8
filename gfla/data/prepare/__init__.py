"""What makes folders of training data from published data sets."""
