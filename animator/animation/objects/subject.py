"""The object of a picture as what a job shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from animator.animation.composing.view import View
from animator.animation.explain.places import PlaceOf, object_places
from animator.animation.inputs import JobInputs
from animator.animation.objects.plan import object_view, plan_object
from animator.animation.plan import JobPlan
from animator.animation.rollout.generator import RolloutGenerator
from animator.animation.subject import Words
from animator.faces.crop import Part
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import SubjectKind
from gfla.arrays import Picture

_BAR = 12
"""Pixels of the width of a bar."""


class ObjectSubject:
    """The object of a picture, shown from other sides: one view a frame."""

    kind: SubjectKind = "object"
    words = Words(
        one="object", several="objects", nobody="nothing", points="side",
        square="picture", picture="The picture, as wide as high.",
        lines="The side from which to see it, one of 18 around it and one of 3 heights",
        driving="Where the object is seen from.",
    )  # fmt: skip

    def plan(self, spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
        """See `Subject.plan`."""
        return plan_object(spec, inputs, settings, watch)

    def view(self, spec: JobSpec, plan: JobPlan) -> View[Any]:
        """See `Subject.view`."""
        return object_view(spec, plan)

    def detector(self, spec: JobSpec, settings: Settings | None = None) -> str:
        """See `Subject.detector`: there is nothing to find."""
        return "auto"

    def measure(
        self,
        video: Path,
        spec: JobSpec,
        plan: JobPlan,
        place: Callable[[int], Part],
        check: Callable[[], object],
    ) -> dict[str, float]:
        """None, as of persons."""
        return {}

    def places(self, plan: JobPlan, points: NDArray[np.floating]) -> list[PlaceOf]:
        """See `Subject.places`."""
        return object_places()

    def drawn(self, structure: Tensor) -> Tensor:
        """One bar for each of the 18 azimuths and the 3 elevations."""
        bars = structure.reshape(1, -1).repeat_interleave(_BAR, 1)
        return bars.repeat(bars.shape[1] // 2, 1)

    def trial(
        self, spec: JobSpec, generator: RolloutGenerator, side: int
    ) -> tuple[Picture, NDArray[np.floating]]:
        """See `Subject.trial`."""
        side = generator.inner_size(side)
        return np.full((side, side, 3), 128, np.uint8), np.zeros((1, 2))
