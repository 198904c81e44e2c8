"""Job plans: the faces and how they move, known before the first frame is rendered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving, Followed
from animator.animation.faces.figure import FacePlan
from animator.animation.faces.following import Source
from animator.animation.objects.figure import ObjectPlan, ObjectSource
from animator.animation.persons.dance import Dance
from animator.animation.persons.figure import PersonPlan, PersonSource
from animator.animation.resampling import shortest
from animator.animation.result_time import ResultTime
from animator.animation.rollout.generator import RolloutGenerator
from animator.animation.rollout.loading import Model
from animator.errors import AnimatorError
from animator.formats import format_of
from animator.media.animation import GIF_RATE
from animator.media.decode import MediaLimits
from animator.spec import JobSpec
from animator.views.track import ViewTrack
from gfla.models.rollout import RolloutState

Figure = FacePlan | PersonPlan | ObjectPlan


@dataclass(frozen=True, eq=False)
class JobPlan:
    """All that a job needs to know before its first frame is rendered.

    Attributes:
        model: the loaded networks, and the engine that steps them.
        faces: those that move, the farthest first and the nearest last; or one person or object.
        time: when the frames are shown, and which sound goes with them.
        size: side in pixels of a face's square as it is rendered; see `face_size`.
        hashes: SHA-256 of the inputs, by name.
        cached: the inputs whose landmarks had been found before, by name.
        rate: frames a second, where the result has times of its own; None for those of a video.
        lead: the number of the face whose driving video gives the result its time.
    """

    model: Model
    faces: tuple[Figure, ...]
    time: ResultTime
    size: int
    hashes: dict[str, str]
    cached: tuple[str, ...] = ()
    rate: Fraction | None = None
    lead: int = 0

    @property
    def generator(self) -> RolloutGenerator:
        """The loaded networks."""
        return self.model.generator

    @property
    def face(self) -> Figure:
        """The face whose driving video gives the result its time."""
        return self.faces[self.lead]

    @property
    def source(self) -> Source | PersonSource | ObjectSource:
        """The portrait, with that face."""
        return self.face.source

    @property
    def driving(self) -> Driving | Dance | Followed[ViewTrack]:
        """What moves that face."""
        return self.face.driving

    @property
    def targets(self) -> NDArray[np.floating]:
        """Its points in every frame, as the generator takes them: T' x 68 x 2, or T' x 18 x 2."""
        return self.face.targets

    @property
    def kept(self) -> NDArray[np.intp]:
        """T', the frame of that driving video which each frame of the result is of."""
        return self.face.kept

    @property
    def pts(self) -> list[int]:
        """T' timestamps of the result from 0, in units of its time base."""
        return self.time.pts

    def first(self, frames: int) -> JobPlan:
        """The plan of the first frames alone."""
        faces = tuple(face.first(frames) for face in self.faces)
        return replace(self, faces=faces, time=replace(self.time, pts=self.time.pts[:frames]))

    def start(self, face: Figure | None = None) -> RolloutState:
        """The state of a face, of `face` if not given, before the first frame."""
        face = face or self.face
        return self.generator.start(face.seen(self.generator, self.size), face.points)


def refuse_too_many(frames: int, limits: MediaLimits) -> None:
    """Refuse a result with more frames than are allowed.

    Raises:
        AnimatorError: `too_long`.
    """
    if frames > limits.max_frames:
        message = f"The result would have {frames} frames; {limits.max_frames} are allowed."
        raise AnimatorError("too_long", message)


def own_rate(spec: JobSpec, time: ResultTime) -> Fraction | None:
    """Frames a second of a result that has not the driving video's own times."""
    gap = shortest(time) if spec.rate is None else 1 / spec.rate
    kind = format_of(spec.output)
    if kind is not None and kind.name == "gif" and gap < 1 / GIF_RATE:
        return GIF_RATE
    return spec.rate
