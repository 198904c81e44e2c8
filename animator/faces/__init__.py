"""Facial landmarks and how they move: detectors, tracking, motion, identity."""
