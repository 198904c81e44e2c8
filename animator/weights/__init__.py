"""The library of models and their imports, beside the default checkpoint."""
