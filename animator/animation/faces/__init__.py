"""Faces of portraits: found, followed, planned, measured."""
