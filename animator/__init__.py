"""Animate portraits from driving videos."""

__version__ = "0.1.0"
