"""Landmark detectors behind one protocol."""

from __future__ import annotations

from typing import Literal

from animator.errors import AnimatorError
from animator.faces import LandmarkDetector

DetectorName = Literal["auto", "dlib", "face-alignment"]


def make_detector(name: DetectorName = "auto", device: str = "auto") -> LandmarkDetector:
    """Load a landmark detector.

    Args:
        name: which one; "auto" takes face-alignment where CUDA and its weights are there.
        device: where it computes: "auto", "cpu", "cuda" or "cuda:N"; dlib is always on the CPU.

    Raises:
        AnimatorError: invalid_option for an unknown name, detector_unavailable if its package or
            its model files are missing.
    """
    if name not in ("auto", "dlib", "face-alignment"):
        raise AnimatorError(
            "invalid_option", f"detector must be auto, dlib or face-alignment; got {name!r}"
        )
    from animator.detectors.dlib import DlibDetector

    return DlibDetector()
