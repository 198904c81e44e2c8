"""Structure guidance: what a network is shown of the frame to render."""
