"""The subject of a job, a face, a person or an object: what differs, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animator.animation.composing.view import View
from animator.animation.explain.places import PlaceOf, face_places, object_places, person_places
from animator.animation.faces.portrait import RolloutGenerator
from animator.animation.faces.quality import measure
from animator.animation.inputs import JobInputs
from animator.animation.objects.plan import object_view, plan_object
from animator.animation.persons.figure import PersonPlan
from animator.animation.persons.following import Bodies
from animator.animation.persons.generator import PersonGenerator
from animator.animation.persons.plan import PersonOptions, person_view, plan_person
from animator.animation.plan import JobPlan, make_plan, view_of
from animator.faces.crop import Part
from animator.faces.detectors import resolve_detector
from animator.faces.detectors.mean_face import MEAN_FACE
from animator.faces.framing import face_side, rendered_side
from animator.persons.bodies import resolve_body_detector
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import DETECTORS, SubjectKind, check_options
from gfla.arrays import Picture
from gfla.guidance.skeleton import CHANNELS
from gfla.joints import JOINTS

_BAR = 12
"""Pixels of the width of a bar."""


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


SUBJECTS: Mapping[SubjectKind, Subject] = {
    "face": FaceSubject(),
    "person": PersonSubject(),
    "object": ObjectSubject(),
}


def subject_of(plan: JobPlan) -> Subject:
    """What a plan animates."""
    return SUBJECTS[plan.generator.subject]


def plan_job(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """The plan of a job, whatever its weights animate; errors as of `Subject.plan`."""
    return SUBJECTS[inputs.model.generator.subject].plan(spec, inputs, settings, watch)


def fitting(spec: JobSpec, kind: SubjectKind, settings: Settings) -> JobSpec:
    """A job as it is for its subject, with a detector of that kind.

    One that the process's settings name is of use for its own kind alone.

    Raises:
        AnimatorError: `invalid_option` for options that do not apply.
    """
    if spec.detector == settings.detector and spec.detector not in DETECTORS[kind]:
        spec = replace(spec, detector="auto")
    check_options(spec, kind)
    return spec
