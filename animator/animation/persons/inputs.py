"""Files that are of no use where a person is animated, told from their beginnings."""

from __future__ import annotations

from dataclasses import replace

from animator.animation.faces.moving import moves
from animator.animation.motion.input import is_motion
from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.files.poses import are_poses
from animator.files.sequence import is_sequence
from animator.media.decode import MediaLimits
from animator.media.stills import Still, read_still
from animator.spec import JobSpec


def refuse_other_files(spec: JobSpec, limits: MediaLimits) -> None:
    """Refuse files that are of use for faces alone.

    Raises:
        AnimatorError: invalid_option, and those of reading their beginnings.
    """
    refuse_motion(spec, limits)
    if moves(spec, limits):
        message = (
            f"{quoted(spec.source)} is a video, and a person is animated from a picture; "
            "--source-motion still takes its first one."
        )
        raise AnimatorError("invalid_option", message)


def refuse_motion(spec: JobSpec, limits: MediaLimits) -> None:
    """Refuse a motion file, which holds landmarks of a face.

    Raises:
        AnimatorError: invalid_option, and those of reading its beginning.
    """
    path = spec.driving.plain
    if not (are_poses(path) or is_sequence(path)) and is_motion(path, limits):
        message = f"{quoted(spec.driving)} holds the motion of a face, and the weights animate a "
        raise AnimatorError("invalid_option", f"{message}person.")


def still_driving(spec: JobSpec, limits: MediaLimits) -> Still | None:
    """The driving file where it is one picture; None for anything that plays, and for joints.

    Raises:
        AnimatorError: those of reading pictures.
    """
    path = spec.driving.plain
    if are_poses(path) or is_sequence(path):
        return None
    if moves(replace(spec, source=spec.driving, source_motion="keep"), limits):
        return None
    return read_still(path, limits)
