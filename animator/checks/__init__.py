"""Checks of a job before it runs: would it work, how long would it take."""
