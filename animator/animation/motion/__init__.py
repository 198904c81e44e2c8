"""Motion files: what moves faces, without pictures."""
