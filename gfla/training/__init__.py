"""Configuration, step and loop of the trainer."""
