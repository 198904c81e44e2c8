"""Training tasks, a generator with its losses each: for pairs, for clips, for region heads."""
