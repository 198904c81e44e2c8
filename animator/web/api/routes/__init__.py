"""The API's routes, version 1."""
