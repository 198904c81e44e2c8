"""Pose transfer: bodies, target poses and the generator of whole persons."""
