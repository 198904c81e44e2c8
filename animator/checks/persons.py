"""Measures of the inputs of a job that animates a person, as a check has them.

No body detector is asked: it may be large, slow, or not installed where the check runs.
"""

from __future__ import annotations

from animator.animation.persons.inputs import refuse_motion, refuse_other_files, still_driving
from animator.checks.report import JOINTS, DrivingFacts, SourceFacts
from animator.errors import AnimatorError
from animator.files.local import quoted
from animator.files.poses import are_poses
from animator.media.decode import MediaLimits, read_picture
from animator.media.stills import Still
from animator.spec import JobSpec


def look_at_person(spec: JobSpec, limits: MediaLimits) -> SourceFacts:
    """Measure the picture, and look whether its pose, where it is a file's, lies in it.

    Raises:
        AnimatorError: invalid_option for a video, those of `read_picture`, invalid_pose.
    """
    refuse_other_files(spec, limits)
    still = read_picture(spec.source, limits)
    height, width = still.pixels.shape[:2]
    if spec.pose_file is not None:
        _check_pose(spec, (height, width))
    return SourceFacts(width, height, int(spec.pose_file is not None), None, still.notes)


def _check_pose(spec: JobSpec, size: tuple[int, int]) -> None:
    from animator.persons.targets import source_joints
    from animator.persons.windows import Window
    from gfla.joints import found

    assert spec.pose_file is not None
    joints, canvas = source_joints(spec.pose_file.plain, spec.source.plain)
    if not found(joints).any():
        message = f"{quoted(spec.pose_file)} has no joint of the source."
        raise AnimatorError("invalid_pose", message)
    if canvas is not None and canvas != size:
        joints = Window.whole(canvas).place(joints, size)
    if not Window.around(joints, 1.0).fits(size):
        message = f"The pose of the source does not lie in its picture, {quoted(spec.source)}."
        raise AnimatorError("invalid_pose", message)


def look_at_still_driving(spec: JobSpec, limits: MediaLimits) -> DrivingFacts | None:
    """Measure joints in files, or the picture of one pose; None for anything with frames.

    Raises:
        AnimatorError: invalid_option for a motion file, invalid_pose, no_body.
    """
    refuse_motion(spec, limits)
    path = spec.driving.plain
    if are_poses(path):
        from animator.persons.targets import read_poses

        poses = read_poses(path, limits)
        height, width = poses.canvas or (0, 0)
        return unseen_facts(float(spec.driving_rate), width, height, len(poses.joints), JOINTS)
    still = still_driving(spec, limits)
    return None if still is None else _of_picture(spec, still)


def _of_picture(spec: JobSpec, still: Still) -> DrivingFacts:
    height, width = still.pixels.shape[:2]
    return unseen_facts(float(spec.driving_rate), width, height, 1, "picture")


def unseen_facts(rate: float, width: int, height: int, frames: int, kind: str) -> DrivingFacts:
    """Facts of what is not seen: so many frames a second of so many pixels, by its kind."""
    return DrivingFacts(
        width=width, height=height, format=kind, codec=kind, rotation=0, has_audio=False,
        duration=frames / rate, frames=frames, counted=True, rate=rate, variable_rate=False,
        wanted=0, samples=(), crop=None, decode_seconds=0.0, landmark_seconds=None, memory_mb=0.0,
    )  # fmt: skip
