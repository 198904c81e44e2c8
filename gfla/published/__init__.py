"""The published checkpoints: their names for our parameters, and what their tensors say of widths."""
