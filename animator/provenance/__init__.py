"""Marks and signatures of results: made, put into files, and verified."""
