"""Plans of jobs that animate a person: who it is, and where the joints go in every frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.view import View, WholeView, even
from animator.animation.inputs import JobInputs
from animator.animation.persons.dance import Dance
from animator.animation.persons.figure import PersonPlan, PersonSource
from animator.animation.persons.following import Bodies, find_body, find_dance
from animator.animation.persons.generator import PersonGenerator
from animator.animation.persons.inputs import refuse_other_files
from animator.animation.plan import JobPlan, own_rate, refuse_too_many
from animator.animation.resampling import duration, resample, result_times
from animator.animation.result_time import result_time
from animator.errors import AnimatorError
from animator.faces.shots import spans
from animator.files.local import quoted
from animator.files.unchanged import check_unchanged
from animator.media.decode import read_picture
from animator.options import PoseWindow
from animator.persons.gaps import fill_gaps
from animator.persons.retargeting import choose_anchor, retarget
from animator.persons.smoothing import smooth_joints
from animator.persons.targets import table_canvas
from animator.persons.windows import Window
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.arrays import Picture
from gfla.joints import MISSING, Joints, found

SAME_ASPECT = 0.1
"""Most by which the aspect of a picture of the model's kind differs from the model's."""
_NEAR = 0.5
"""Distance beyond the picture, in units of its sides, up to which joints count for the part that is
animated."""
Placing = Literal["retargeted", "as given"]
"""Ways of joints: carried over to the source's body, or taken for the result's as they are."""


@dataclass(frozen=True)
class PersonOptions:
    """What a plan of a person heeds beside a job's specification.

    Attributes:
        bodies: what finds persons.
        placing: see `Placing`.
        size: height of the result in pixels instead of the job's.
    """

    bodies: Bodies
    placing: Placing = "retargeted"
    size: int | None = None


def plan_person(
    spec: JobSpec,
    inputs: JobInputs,
    settings: Settings,
    watch: Watch,
    options: PersonOptions,
) -> JobPlan:
    """Find the person, follow the one that moves, and plan the motion.

    Raises:
        AnimatorError: invalid_option, no_body, and those of what it calls.
    """
    limits, hashes = settings.limits(), inputs.hashes
    check = partial(check_unchanged, inputs.files)
    with watch.stage("load"):
        refuse_other_files(spec, limits)
        still = read_picture(spec.source, limits)
        check()
        (joints, persons), known_source, notes = find_body(
            spec, still, options.bodies, hashes["source"]
        )
    dance, names, known_driving = find_dance(
        spec, options.bodies, hashes["driving"], limits, watch, check
    )
    # Where the joints go, at the times of the result.
    motion = _motion(spec, joints, dance, options.placing)
    time, targets, kept = result_time(dance, motion.kept), motion.joints, motion.kept
    if (rate := own_rate(spec, time)) is not None:
        refuse_too_many(round(duration(time) * rate), limits)
        known = np.where(found(targets)[..., None], targets, np.nan).astype(np.float32)
        between, kept = resample(known, kept, time, rate, dance.cuts or ())
        targets = np.where(np.isfinite(between), between, MISSING).astype(np.float64)
        time = result_times(time, rate)
    # What the networks see of the source, and the joints in its pixels.
    generator = inputs.model.generator
    assert isinstance(generator, PersonGenerator)
    picture = still.pixels.shape[0], still.pixels.shape[1]
    if options.placing == "as given" and dance.landmarks.canvas is None:
        canvas = table_canvas(spec.driving.plain, targets, picture)
        dance = replace(dance, landmarks=replace(dance.landmarks, canvas=canvas))
        notes += ("published_joints",) * (canvas is not None)
    place = retargeted if options.placing == "retargeted" else as_given
    window, placed = place(spec.window, generator, picture, joints, targets, dance)
    if not window.fits(picture):
        message = f"The pose of the source does not lie in its picture, {quoted(spec.source)}."
        raise AnimatorError("invalid_pose", message)
    notes = tuple(dict.fromkeys((*still.notes, *notes)))
    source = PersonSource(still.pixels, joints, window, persons, notes)
    person = PersonPlan(
        source, dance, placed, kept, motion.missing, generator.size, generator.aspect, names
    )
    cached = {"source": known_source, "driving": known_driving}
    asked = options.size or spec.size
    size = even(generator.size[0] if asked == "auto" else asked)
    return JobPlan(
        inputs.model, (person,), time, size, hashes,
        tuple(name for name, was_known in cached.items() if was_known), rate,
    )  # fmt: skip


class _Motion(NamedTuple):
    """Joints in pixels of the source's picture, or as given, at the driving times."""

    joints: Joints
    kept: NDArray[np.intp]
    missing: tuple[tuple[int, int], ...]


def _motion(spec: JobSpec, source: Joints, dance: Dance, placing: Placing) -> _Motion:
    """The joints of every frame that is kept; each shot is a video of its own."""
    track, seconds = dance.landmarks, dance.seconds
    there, moved = track.found, []
    if not there.any():
        raise AnimatorError("no_body", f"No person was found in {quoted(spec.driving)}.")
    missing = runs_of(~there)
    if missing and spec.missing_face == "fail":
        first, last = missing[0]
        frames = f"frame {first}" if first == last else f"frames {first}-{last}"
        raise AnimatorError("face_lost", f"There is nobody in {frames} of the driving video.")
    kept = np.flatnonzero(there) if spec.missing_face == "skip" else np.arange(len(there))
    if placing == "as given":
        # Poses that may have nothing to do with one another: only whole frames are held.
        latest = np.maximum.accumulate(np.where(there, np.arange(len(there)), there.argmax()))
        return _Motion(track.joints[latest][kept], kept, missing)
    for shot in spans(dance.cuts or (), there):
        joints = fill_gaps(track.joints[shot], seconds[shot], spec.missing_face)
        joints = smooth_joints(joints, seconds[shot], spec.smoothing)
        usual = np.flatnonzero(there[shot])
        anchor = 0 if spec.anchor == "first" else choose_anchor(source, joints[usual])
        moved.append(retarget(source, joints, joints[usual[anchor]], spec.motion))
    return _Motion(np.concatenate(moved)[kept], kept, missing)


def runs_of(chosen: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """First and last of each run of frames that are chosen."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    return tuple((int(first), int(end) - 1) for first, end in edges.reshape(-1, 2))


def retargeted(
    frame: PoseWindow,
    generator: PersonGenerator,
    picture: tuple[int, int],
    source: Joints,
    targets: Joints,
    dance: Dance,
) -> tuple[Window, Joints]:
    """The part of the picture in which the person moves, and the joints in the networks' pixels.

    Args:
        frame: of the job.
        generator: the networks.
        picture: height and width of the source.
        source: 18 x 2 pixels of it.
        targets: T x 18 x 2 pixels of it.
        dance: what they are made of.
    """
    both = np.concatenate([source[None], targets])
    # One joint that was seen far away must not make the person small.
    size = np.array([picture[1], picture[0]])
    near = np.where(found(both)[..., None], np.clip(both, -_NEAR * size, (1 + _NEAR) * size), both)
    window = choose_window(frame, near, picture, generator.aspect)
    return window, window.place(targets, generator.size)


def as_given(
    frame: PoseWindow,
    generator: PersonGenerator,
    picture: tuple[int, int],
    source: Joints,
    targets: Joints,
    dance: Dance,
) -> tuple[Window, Joints]:
    """The part around the person, and joints that lie in the result as in their own picture.

    Arguments as of `retargeted`, but for the targets, which are of a picture of their own.
    """
    window = choose_window(frame, source, picture, generator.aspect)
    # Poses without a picture of their own are taken as in the source's, where they lie in it.
    canvas = dance.landmarks.canvas
    if canvas is None and (frame == "whole" or window == Window.whole(picture)):
        canvas = picture if lies_in(targets, picture) or frame == "whole" else None
    other = choose_window(frame, targets, canvas, generator.aspect)
    return window, other.place(targets, generator.size)


def choose_window(
    frame: PoseWindow, joints: Joints, size: tuple[int, int] | None, aspect: float
) -> Window:
    """The part of a picture that stands for a picture of the model's kind.

    Args:
        frame: as `JobSpec.window`.
        joints: ... x 18 x 2; of a sequence all, so that the part stays the same.
        size: height and width of the picture, None if unknown.
        aspect: width in units of height of the model's pictures.
    """
    if size is not None:
        alike = abs(size[1] / size[0] / aspect - 1) <= SAME_ASPECT
        if frame == "whole" or (frame == "auto" and alike):
            return Window.whole(size)
    return Window.around(joints, aspect)


def lies_in(joints: Joints, size: tuple[int, int]) -> bool:
    """Whether all joints that were found lie in a picture of this height and width."""
    there = joints[found(joints)]
    return bool((there >= 0).all() and (there < [size[1], size[0]]).all())


class WindowView:
    """The window of a person, and nothing around it.

    Args:
        window: of the source's picture.
        width: in pixels of the result.
        height: likewise.
    """

    def __init__(self, window: Window, width: int, height: int) -> None:
        self._window = window
        self.size = (width, height)

    def picture(self, source: Picture) -> Picture:
        """See `animator.animation.composing.view.View.picture`."""
        width, height = self.size
        return self._window.cut(source, (height, width))

    def place(self, part: Window) -> Window:
        """See `animator.animation.composing.view.View.place`."""
        return Window(0, 0, *self.size)


def person_view(spec: JobSpec, plan: JobPlan) -> View[Window]:
    """What of the source the result shows of a person."""
    person = plan.face
    assert isinstance(person, PersonPlan)
    if spec.shows == "paste-back":
        height, width = person.source.picture.shape[:2]
        return WholeView(width, height)
    return WindowView(person.source.square, *person.extent(plan.size))
