"""Clips stepped by networks: models, engine, batches."""
