"""The server: a page and an API over the client of the queue."""
