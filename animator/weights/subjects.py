"""What a model animates, a face or a person, and which options of a job apply to that.

The header of a checkpoint tells it, so that commands and checks know it before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from animator.errors import AnimatorError
from animator.files.local import check_input
from animator.files.poses import POSE_SUFFIXES
from animator.settings import Settings
from animator.spec import OPTIONS, BodyDetector, FaceDetector, JobSpec
from animator.values import is_url, shown_url
from animator.weights.library import describe_file, is_face, purpose, resolve_spec, structure_size
from gfla.config import AnimationConfig, GeneratorConfig, PoseTransferConfig

SubjectKind = Literal["face", "person"]

DETECTORS: Mapping[SubjectKind, tuple[str, ...]] = {
    "face": get_args(FaceDetector),
    "person": get_args(BodyDetector),
}
"""What finds the points of each."""
_OF_OTHERS: Mapping[SubjectKind, tuple[str, ...]] = {
    "face": ("source_pose", "window"),
    "person": ("strength", "head", "expression", "regions", "blink", "ending", "margin"),
}
"""Options that do not apply to it."""
_NOUNS: Mapping[SubjectKind, str] = {"face": "a face", "person": "a person"}


def kind_of(config: GeneratorConfig) -> SubjectKind | None:
    """What a model animates; None if that is neither."""
    if is_face(config):
        return "face"
    return "person" if isinstance(config, (AnimationConfig, PoseTransferConfig)) else None


def require_animating(config: GeneratorConfig, name: str) -> SubjectKind:
    """What a model animates.

    Raises:
        AnimatorError: `weights_wrong_kind` if nothing.
    """
    if (kind := kind_of(config)) is not None:
        return kind
    raise AnimatorError(
        "weights_wrong_kind",
        f"The weights {name!r} are for {purpose(config)} ({config.kind}), and a job needs weights "
        "for face or person animation, or for person pose transfer; `animator weights list` shows "
        "which are there.",
    )


def check_weights(weights: str, settings: Settings) -> SubjectKind:
    """Check that weights are there and animate something, by their header; tells what.

    Raises:
        AnimatorError: `no_such_file`, `not_a_file`, `unreadable_file`, `no_such_weights`,
            `weights_unreadable` or `weights_wrong_kind`.
    """
    path = resolve_spec(weights, settings)
    check_input(str(path))
    header = describe_file(path)
    kind = require_animating(header.config, weights)
    structure_size(header.config, header.info, weights)
    return kind


def check_options(spec: JobSpec, kind: SubjectKind) -> None:
    """Refuse options that do not apply to what the weights of a job animate.

    Raises:
        AnimatorError: `invalid_option`.
    """
    for name in _OF_OTHERS[kind]:
        if getattr(spec, name) != OPTIONS[name].default:
            raise _refused(spec, kind, f"--{name.replace('_', '-')}")
    if kind == "person":
        if spec.faces.several:
            raise _refused(spec, kind, "--face with several faces")
        if spec.source_motion == "replace":
            raise _refused(spec, kind, "--source-motion replace")
        if spec.audio == "source":
            raise _refused(spec, kind, "--audio source")
        for name, place in (("driving", spec.driving), ("source_pose", spec.source_pose)):
            _refuse_remote_poses(name, place)
    if spec.detector not in DETECTORS[kind]:
        message = (
            f"detector is {spec.detector!r}; for {_NOUNS[kind]}, which the weights "
            f"{spec.weights!r} animate, allowed is {', '.join(DETECTORS[kind])}."
        )
        raise AnimatorError("invalid_option", message)


def _refused(spec: JobSpec, kind: SubjectKind, what: str) -> AnimatorError:
    message = f"The weights {spec.weights!r} animate {_NOUNS[kind]}, to which {what} does not apply"
    return AnimatorError("invalid_option", f"{message}.")


def _refuse_remote_poses(name: str, place: str) -> None:
    """Refuse tables of joints that are not files of this machine: a cache keeps no names."""
    if is_url(place) and place.partition("#")[0].lower().endswith(POSE_SUFFIXES):
        message = f"{name} is {shown_url(place)!r}; joints are read from files of this machine."
        raise AnimatorError("invalid_option", message)
