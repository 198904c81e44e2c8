"""Containers, decoding, encoding, sound, stills and contact sheets."""
