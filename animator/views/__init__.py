"""View synthesis: the sides from which a result shows an object, and its generator."""
