"""Pure functions on tensors that the networks are made of."""
