"""Published checkpoints: their names for our parameters, what their tensors say of widths."""
