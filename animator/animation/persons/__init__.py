"""Persons of pictures: found, followed, planned."""
