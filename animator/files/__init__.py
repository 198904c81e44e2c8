"""Files by path or URL: read, cached, written whole or not at all."""
