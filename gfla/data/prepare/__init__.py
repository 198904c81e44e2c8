"""Preparation of training folders from published data sets."""
