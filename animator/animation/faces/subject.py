"""The face of a portrait as what a job animates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from animator.animation.composing.view import View
from animator.animation.explain.places import PlaceOf, face_places
from animator.animation.faces.plan import make_plan, view_of
from animator.animation.inputs import JobInputs
from animator.animation.plan import JobPlan
from animator.animation.rollout.generator import RolloutGenerator
from animator.animation.subject import Words
from animator.faces.crop import Part
from animator.faces.detectors import resolve_detector
from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.framing import face_side, rendered_side
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import SubjectKind
from gfla.arrays import Picture


class FaceSubject:
    """The face of a portrait: 68 landmarks, drawn as edges and distances from them."""

    kind: SubjectKind = "face"
    words = Words(
        one="face", several="faces", nobody="no face", points="landmarks", square="face square",
        picture="The portrait, cut to the square around the face.",
        lines="Lines through the landmarks, carried over to the source's face",
        driving="The driving video at this moment, with the landmarks found in it.",
    )  # fmt: skip

    def plan(self, spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
        """See `Subject.plan`."""
        return make_plan(spec, inputs, settings, watch)

    def view(self, spec: JobSpec, plan: JobPlan) -> View[Any]:
        """See `Subject.view`."""
        return view_of(spec, plan)

    def detector(self, spec: JobSpec, settings: Settings | None = None) -> str:
        """See `Subject.detector`."""
        return resolve_detector(spec.detector, spec.device)

    def measure(
        self,
        video: Path,
        spec: JobSpec,
        plan: JobPlan,
        place: Callable[[int], Part],
        check: Callable[[], object],
    ) -> dict[str, float]:
        """See `animator.animation.faces.quality.measure`."""
        from animator.animation.faces.quality import measure  # few jobs ask for it

        return measure(video, spec, plan, place, check)

    def places(self, plan: JobPlan, points: NDArray[np.floating]) -> list[PlaceOf]:
        """See `Subject.places`."""
        return face_places(points)

    def drawn(self, structure: Tensor) -> Tensor:
        """The edges."""
        return structure[0]

    def trial(
        self, spec: JobSpec, generator: RolloutGenerator, side: int
    ) -> tuple[Picture, NDArray[np.floating]]:
        """See `Subject.trial`."""
        shown = face_side(spec.size, spec.margin, side)
        size = generator.inner_size(rendered_side(shown, spec.margin))
        return np.full((size, size, 3), 128, np.uint8), MEAN_FACE * 0.55 + 0.5
