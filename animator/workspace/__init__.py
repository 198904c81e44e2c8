"""The folder of an attempt: segments, and what is shared with other machines."""
