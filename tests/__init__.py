"""A package, so that no other `tests` on the path, such as torch-fidelity's, is taken for it."""
