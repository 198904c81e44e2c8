"""What a model animates, a face, a person or an object, and which options of a job apply to it.

The header of a checkpoint tells it, so that commands and checks know it before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from animator.errors import AnimatorError
from animator.files.local import check_input
from animator.files.poses import POSE_SUFFIXES
from animator.options import BodyDetector, FaceDetector
from animator.settings import Settings
from animator.spec import OPTIONS, JobSpec
from animator.values import is_url, shown_url
from animator.weights.library import (
    describe_file,
    is_face,
    refuse_stage_one,
    resolve_spec,
    structure_size,
)
from gfla.config import GeneratorConfig, ViewSynthesisConfig

SubjectKind = Literal["face", "person", "object"]

DETECTORS: Mapping[SubjectKind, tuple[str, ...]] = {
    "face": get_args(FaceDetector),
    "person": get_args(BodyDetector),
    "object": ("auto",),
}
"""What finds the points of each; an object has none."""
NOT_OF: Mapping[SubjectKind, tuple[str, ...]] = {
    "face": ("source_pose", "window"),
    "person": ("strength", "head", "expression", "regions", "blink", "ending", "margin"),
    "object": (
        *("strength", "head", "expression", "regions", "blink", "ending", "margin"),
        *("motion", "anchor", "smoothing", "missing_face", "face", "source_face", "driving_face"),
        *("source_pose", "window"),
    ),
}
"""Options that do not apply to it."""
_NOUNS: Mapping[SubjectKind, str] = {"face": "a face", "person": "a person", "object": "an object"}


def kind_of(config: GeneratorConfig) -> SubjectKind:
    """What a model animates."""
    if is_face(config):
        return "face"
    if isinstance(config, ViewSynthesisConfig):
        return "object"
    return "person"


def check_weights(weights: str, settings: Settings) -> SubjectKind:
    """Check that weights are there, by their header; tells what they animate.

    Raises:
        AnimatorError: `no_such_file`, `not_a_file`, `unreadable_file`, `no_such_weights`,
            `weights_unreadable`, or `weights_wrong_kind` for stage 1, which cannot render.
    """
    path = resolve_spec(weights, settings)
    check_input(str(path))
    header = describe_file(path)
    refuse_stage_one(header.info, path)
    structure_size(header.config, header.info, weights)
    return kind_of(header.config)


def check_options(spec: JobSpec, kind: SubjectKind) -> None:
    """Refuse options that do not apply to what the weights of a job animate.

    Raises:
        AnimatorError: `invalid_option`.
    """
    for name in NOT_OF[kind]:
        if getattr(spec, name) != OPTIONS[name].default:
            raise _refused(spec, kind, f"--{name.replace('_', '-')}")
    if kind != "face":
        if spec.faces.several:
            raise _refused(spec, kind, "--face with several faces")
        if spec.source_motion == "replace":
            raise _refused(spec, kind, "--source-motion replace")
        if spec.audio == "source":
            raise _refused(spec, kind, "--audio source")
        _refuse_remote_poses(spec)
    if spec.detector not in DETECTORS[kind]:
        message = (
            f"detector is {spec.detector!r}; for {_NOUNS[kind]}, which the weights "
            f"{spec.weights!r} animate, allowed is {', '.join(DETECTORS[kind])}."
        )
        raise AnimatorError("invalid_option", message)


def _refused(spec: JobSpec, kind: SubjectKind, what: str) -> AnimatorError:
    message = f"The weights {spec.weights!r} animate {_NOUNS[kind]}, to which {what} does not apply"
    return AnimatorError("invalid_option", f"{message}.")


def _refuse_remote_poses(spec: JobSpec) -> None:
    """Refuse joints that are not files of this machine: a cache keeps no names, so no kinds."""
    named = {"driving": spec.driving, "source_pose": spec.source_pose}
    for name, place in named.items():
        joints = name == "source_pose" or place.partition("#")[0].lower().endswith(POSE_SUFFIXES)
        if is_url(place) and joints:
            message = f"{name} is {shown_url(place)!r}; joints are read from files of this machine."
            raise AnimatorError("invalid_option", message)
