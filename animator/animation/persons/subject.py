"""The person of a picture as what a job animates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animator.animation.composing.view import View
from animator.animation.explain.places import PlaceOf, person_places
from animator.animation.inputs import JobInputs
from animator.animation.persons.figure import PersonPlan
from animator.animation.persons.following import Bodies
from animator.animation.persons.generator import PersonGenerator
from animator.animation.persons.plan import PersonOptions, person_view, plan_person
from animator.animation.plan import JobPlan
from animator.animation.rollout.generator import RolloutGenerator
from animator.animation.subject import Words
from animator.faces.crop import Part
from animator.persons.bodies import resolve_body_detector
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import SubjectKind
from gfla.arrays import Picture
from gfla.guidance.skeleton import CHANNELS
from gfla.joints import JOINTS


class PersonSubject:
    """The person of a picture: 18 joints, drawn as heat maps, for some models with a skeleton."""

    kind: SubjectKind = "person"
    words = Words(
        one="person", several="persons", nobody="nobody", points="joints", square="person's part",
        picture="The picture, cut to the part in which the person moves.",
        lines="The joints, carried over to the source's person",
        driving="What moves the person at this moment, with its joints.",
    )  # fmt: skip

    def plan(self, spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
        """See `Subject.plan`."""
        bodies = Bodies.of(spec, settings, self.detector(spec, settings))
        return plan_person(spec, inputs, settings, watch, PersonOptions(bodies))

    def view(self, spec: JobSpec, plan: JobPlan) -> View[Any]:
        """See `Subject.view`."""
        return person_view(spec, plan)

    def detector(self, spec: JobSpec, settings: Settings | None = None) -> str:
        """See `Subject.detector`."""
        return resolve_body_detector(spec.detector, settings.state_dir if settings else None)

    def measure(
        self,
        video: Path,
        spec: JobSpec,
        plan: JobPlan,
        place: Callable[[int], Part],
        check: Callable[[], object],
    ) -> dict[str, float]:
        """None: what is known of measures is of faces."""
        return {}

    def places(self, plan: JobPlan, points: NDArray[np.floating]) -> list[PlaceOf]:
        """See `Subject.places`."""
        assert isinstance(plan.face, PersonPlan)
        return person_places(points, plan.face.canvas)

    def drawn(self, structure: Tensor) -> Tensor:
        """All heat maps, and the lines of a skeleton, where there is one."""
        if len(structure) != CHANNELS:
            return structure.amax(0)
        maps, lines = structure[:-3].amax(0), structure[-3:].amax(0)
        return torch.maximum(maps, lines / lines.amax().clamp(min=1e-6))

    def trial(
        self, spec: JobSpec, generator: RolloutGenerator, side: int
    ) -> tuple[Picture, NDArray[np.floating]]:
        """See `Subject.trial`."""
        assert isinstance(generator, PersonGenerator)
        height, width = generator.size
        shares = np.random.default_rng(0).uniform(0.1, 0.9, (len(JOINTS), 2))
        return np.full((height, width, 3), 128, np.uint8), shares * (width, height)
