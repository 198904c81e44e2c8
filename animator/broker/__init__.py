"""Redis: the connection, the private server, locks."""
