"""The subject of a job, a face, a person or an object: what differs, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from animator.animation.composing.view import View
from animator.animation.explain.places import PlaceOf
from animator.animation.inputs import JobInputs
from animator.animation.plan import JobPlan
from animator.animation.rollout.generator import RolloutGenerator
from animator.faces.crop import Part
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import SubjectKind
from gfla.arrays import Picture


class Words(NamedTuple):
    """What sentences call the subject.

    Attributes:
        one: of them.
        several: of them.
        nobody: what a frame shows that shows none.
        points: what is found of it.
        square: what is animated of a picture.
        picture: of the source, in a sheet.
        lines: the guidance of a frame, in a sheet.
        driving: what a driving frame shows, in a sheet.
    """

    one: str
    several: str
    nobody: str
    points: str
    square: str
    picture: str
    lines: str
    driving: str


class Subject(Protocol):
    """What is animated.

    Attributes:
        kind: "face", "person" or "object".
        words: what sentences call it.
    """

    kind: SubjectKind
    words: Words

    def plan(self, spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
        """Find it, follow what moves it, and plan the motion; errors as of `make_plan`."""
        ...

    def view(self, spec: JobSpec, plan: JobPlan) -> View[Any]:
        """What of the source the result shows."""
        ...

    def detector(self, spec: JobSpec, settings: Settings | None = None) -> str:
        """What finds its points: what "auto" comes to on this machine."""
        ...

    def measure(
        self,
        video: Path,
        spec: JobSpec,
        plan: JobPlan,
        place: Callable[[int], Part],
        check: Callable[[], object],
    ) -> dict[str, float]:
        """Measures of a finished video by name; those that cannot be told are left out."""
        ...

    def places(self, plan: JobPlan, points: NDArray[np.floating]) -> list[PlaceOf]:
        """What a sheet marks: name, colour and position in units of what the networks see."""
        ...

    def drawn(self, structure: Tensor) -> Tensor:
        """Guidance C h w as one plane h w in 0..1, as a sheet shows it."""
        ...

    def trial(
        self, spec: JobSpec, generator: RolloutGenerator, side: int
    ) -> tuple[Picture, NDArray[np.floating]]:
        """A picture and points to time networks with, of a source whose face has such a side."""
        ...
