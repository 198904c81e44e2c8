"""Losses of training: pure functions, and modules that hold their settings."""
