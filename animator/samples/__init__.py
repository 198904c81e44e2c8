"""Sample media, drawn by the animator."""
