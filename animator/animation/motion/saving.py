"""The making of motion files: a driving video is followed, and its motion written."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from animator.animation.driving import Driving
from animator.animation.faces.following import find_driving
from animator.animation.landmark_cache import LandmarkCache
from animator.animation.motion.file import (
    SUFFIX,
    Motion,
    Origin,
    Rights,
    is_motion,
    pack_motion,
    read_motion,
)
from animator.errors import AnimatorError
from animator.faces.detectors import detector_version
from animator.files.local import check_suffix, quoted
from animator.files.output import check_output, write_whole
from animator.files.unchanged import Stamp, Unchanged, check_unchanged, unchanged
from animator.media.decode import content_hash
from animator.media.sound_choice import ANOTHER, EMPTY, LEFT_OUT
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import OnProgress, Watch

_MAX_NAME = 255
_OF_SOUND = (LEFT_OUT, EMPTY, ANOTHER)


def save_motion(
    spec: JobSpec,
    rights: Rights,
    *,
    settings: Settings,
    report: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Motion:
    """Follow the face of a driving video as a job would, and write its motion.

    Of a motion file, a part is written, under the same rights unless others are given.

    Args:
        spec: a job with this driving video, whose part, face and detector count; its output is
            the motion file.
        rights: what is said about the motion.
        settings: what inputs may be at most, and where landmarks are kept.
        report: called with the progress, about ten times a second.
        should_stop: polled after every few frames; once true, nothing is written.

    Raises:
        AnimatorError: `no_face` if no frame shows one, `invalid_option` for another kind of
            output, and what following a video raises.
        JobCancelled: if ``should_stop`` said so.
    """
    check_suffix(spec.output, (SUFFIX,))
    check_output(spec.output)
    limits = settings.limits()
    watch = Watch(report, should_stop)
    before = Stamp.of(spec.driving, limits)
    sha256 = content_hash(spec.driving, limits)
    files = (Unchanged(spec.driving, before, sha256, limits),)
    with unchanged(files):
        if is_motion(spec.driving, limits):
            motion = read_motion(spec.driving, limits).part(spec.start_seconds, spec.end_seconds)
            motion = replace(motion, rights=_over(rights, motion.rights))
        else:
            cache = LandmarkCache(spec, settings)
            check = partial(check_unchanged, files)
            driving, _ = find_driving(spec, cache, sha256, limits, watch, check)
            motion = Motion(_without_sound(driving), _origin(spec, sha256), rights)
    if not motion.driving.landmarks.found.any():
        message = f"No face was found in any frame of {quoted(spec.driving)}."
        raise AnimatorError("no_face", message)
    watch.check()
    write_whole(spec.output, pack_motion(motion))
    return motion


def _without_sound(driving: Driving) -> Driving:
    faults = tuple(fault for fault in driving.faults if fault not in _OF_SOUND)
    return replace(driving, faults=faults, audio=(None, None), pictures=False)


def _origin(spec: JobSpec, sha256: str) -> Origin:
    name = Path(spec.driving).name
    return Origin(
        name=os.fsencode(name)[:_MAX_NAME].decode(errors="replace"),
        sha256=sha256,
        start=spec.start_seconds,
        end=spec.end_seconds,
        face=str(spec.face_of("driving")),
        detector=detector_version(spec.detector, spec.device),
    )


def _over(given: Rights, there: Rights) -> Rights:
    """What is said anew, and else what was said before."""
    return Rights(
        given.licence or there.licence, given.consent or there.consent, given.note or there.note
    )
