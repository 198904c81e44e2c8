"""Measuring models on footage and pairs."""
