"""Data sets: endless samples of persons, faces and views, and what prepares their folders."""
