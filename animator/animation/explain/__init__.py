"""Sheets that show how a frame comes about."""
