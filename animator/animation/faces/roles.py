"""The faces of a portrait that move, and which of a job's driving files moves each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from animator.animation.faces.following import Source, find_source
from animator.animation.landmark_cache import LandmarkCache
from animator.errors import AnimatorError
from animator.faces.crop import face_square
from animator.faces.detectors import make_detector
from animator.faces.tracking import find_faces
from animator.media.decode import MediaLimits, read_picture
from animator.spec import JobSpec

_MOST_SEEN = 100
"""Faces of one picture that are numbered; of a crowd that is larger, those farther left."""


class Role(NamedTuple):
    """A face that moves, and what moves it.

    Attributes:
        source: the portrait with this face.
        number: of the face, from the left from 1; None where one alone is asked for.
        driving: the name of the driving file, as `JobSpec.drivings` has it.
    """

    source: Source
    number: int | None
    driving: str


def find_roles(
    spec: JobSpec,
    cache: LandmarkCache,
    sha256: str,
    limits: MediaLimits,
    check: Callable[[], None],
) -> tuple[list[Role], bool]:
    """Read the portrait and find the faces that move; also whether they had been found before.

    Args:
        spec: the job.
        cache: of the job.
        sha256: of the portrait.
        limits: what is refused.
        check: called once the file was read.

    Raises:
        AnimatorError: those of `find_source` and `animator.moving_faces.MovingFaces.numbers`.
    """
    faces = spec.faces
    if not faces.several:
        source, known = find_source(spec, cache, sha256, limits, check)
        return [Role(source, None, "driving")], known
    still = read_picture(spec.source, limits)
    check()

    def find() -> list[NDArray[np.float32]]:
        detector = make_detector(spec.detector, spec.device)
        found = find_faces(still.pixels, detector, most=_MOST_SEEN)
        return [landmarks.points[0] for landmarks in found]

    points, known = cache.sources(sha256, find)
    if not points:
        raise AnimatorError("no_face", "No face was found in the picture.")
    roles = []
    for number in faces.numbers(len(points)):
        own = points[number - 1]
        source = Source(still.pixels, own, face_square(own), len(points), still.notes)
        roles.append(Role(source, number, spec.driven_by(number)))
    return roles, known
