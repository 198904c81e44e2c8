"""Landmark detectors behind one protocol."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Literal

from animator.errors import AnimatorError
from animator.faces.landmarks import LandmarkDetector
from animator.models.catalogue import MESH


@dataclass(frozen=True)
class DetectorStatus:
    """Whether a detector can be used on this machine.

    Attributes:
        name: the detector.
        usable: whether it works without fetching or installing anything.
        reason: why not, or what will be used.
    """

    name: str
    usable: bool
    reason: str


def make_detector(name: str = "auto", device: str = "auto") -> LandmarkDetector:
    """Load a landmark detector.

    Args:
        name: which one; "auto" takes face-alignment where CUDA and its weights are there.
        device: where it computes: "auto", "cpu", "cuda" or "cuda:N"; dlib is always on the CPU.

    Raises:
        AnimatorError: invalid_option for an unknown name, detector_unavailable if its package or
            its model files are missing, device_unavailable.
    """
    resolved = resolve_detector(name, device)
    if resolved == "dlib":
        if importlib.util.find_spec("dlib") is None:
            raise AnimatorError("detector_unavailable", _DLIB_MISSING)
        from animator.faces.detectors.dlib import DlibDetector

        return DlibDetector()
    from animator.faces.detectors.face_alignment import FaceAlignmentDetector, resolve_device

    if resolved == "mesh":
        from animator.faces.detectors.mesh import MeshDetector

        return MeshDetector(resolve_device(device))
    return FaceAlignmentDetector(device)


def resolve_detector(
    name: str = "auto", device: str = "auto"
) -> Literal["dlib", "face-alignment", "mesh"]:
    """Which detector "auto" means on this machine; other names stand for themselves.

    Raises:
        AnimatorError: invalid_option for an unknown name.
    """
    if name == "dlib":
        return "dlib"
    if name == "face-alignment":
        return "face-alignment"
    if name == "mesh":
        return "mesh"
    if name != "auto":
        raise AnimatorError(
            "invalid_option",
            f"detector is {name!r}; allowed for faces is auto, dlib, face-alignment or mesh.",
        )
    if device == "cpu":
        return "dlib"
    import torch

    return "face-alignment" if torch.cuda.is_available() and _weights_there() else "dlib"


def detector_version(name: str = "auto", device: str = "auto") -> str:
    """Name and version of what `make_detector` would load, as the loaded detector has them.

    No model is loaded, so it is quick where landmarks are there already.

    Raises:
        AnimatorError: invalid_option for an unknown name, detector_unavailable if its package or
            dlib's model file is missing.
    """
    resolved = resolve_detector(name, device)
    if resolved == "dlib":
        if importlib.util.find_spec("dlib") is None:
            raise AnimatorError("detector_unavailable", _DLIB_MISSING)
        from animator.faces.detectors import dlib

        return f"{resolved}: {dlib.version()}"
    if resolved == "mesh":
        from animator.faces.detectors import mesh

        return f"{resolved}: {mesh.version()}"
    from animator.faces.detectors import face_alignment

    return f"{resolved}: {face_alignment.version()}"


def available_detectors() -> list[DetectorStatus]:
    """What each detector lacks, if anything; loads none of them."""
    return [_dlib_status(), _face_alignment_status(), DetectorStatus(*MESH.status())]


_DLIB_MISSING = "dlib is not installed; install it with: pip install dlib-bin."


def _dlib_status() -> DetectorStatus:
    if importlib.util.find_spec("dlib") is None:
        return DetectorStatus("dlib", False, _DLIB_MISSING)
    from animator.faces.detectors.dlib import predictor_path

    try:
        return DetectorStatus("dlib", True, str(predictor_path()))
    except AnimatorError as error:
        return DetectorStatus("dlib", False, error.message)


def _face_alignment_status() -> DetectorStatus:
    name = "face-alignment"
    if importlib.util.find_spec("face_alignment") is None:
        return DetectorStatus(
            name, False, "It is not installed; install it with: pip install face-alignment."
        )
    from animator.faces.detectors.face_alignment import missing_weights, weights_folder

    if missing := missing_weights():
        reason = f"{' and '.join(missing)} not in {weights_folder()}; fetched on first use."
        return DetectorStatus(name, False, reason)
    return DetectorStatus(name, True, f"Weights in {weights_folder()}.")


def _weights_there() -> bool:
    return _face_alignment_status().usable
