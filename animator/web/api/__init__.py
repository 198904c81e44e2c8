"""The API, version 1: its documents, its streams, its routes."""
