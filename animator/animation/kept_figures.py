"""Faces, persons and objects of plans as arrays and numbers of a file, and made of them again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from animator.animation.driving import driving_arrays, driving_of, followed_of, time_arrays
from animator.animation.faces.figure import FacePlan
from animator.animation.faces.following import Source, moving_source
from animator.animation.faces.moving import moving_arrays, moving_from
from animator.animation.objects.figure import ObjectPlan, ObjectSource
from animator.animation.persons.dance import dance_arrays, dance_of
from animator.animation.persons.figure import PersonPlan, PersonSource
from animator.animation.plan import Figure
from animator.faces.crop import Square
from animator.media.decode import MediaLimits, read_picture
from animator.media.stills import Still
from animator.persons.windows import Window
from animator.spec import JobSpec
from animator.views.track import ViewTrack

_MOVING = "moving "  # begins the names of what is kept of a portrait that is a video
Arrays = Mapping[str, NDArray[Any]]


def figure_arrays(figure: Figure) -> dict[str, NDArray[Any]]:
    """The arrays of a face, a person or an object; the source's picture is not among them."""
    own = {"source": figure.source.points, "targets": figure.targets, "kept": figure.kept}
    if isinstance(figure, PersonPlan):
        return dance_arrays(figure.driving) | own
    if isinstance(figure, ObjectPlan):
        return time_arrays(figure.driving) | own | {"views": figure.driving.landmarks.views}
    parts = driving_arrays(figure.driving) | own
    if figure.source.moving is not None and figure.shown is not None:
        moving = moving_arrays(figure.source.moving) | {"shown": figure.shown}
        parts |= {f"{_MOVING}{name}": value for name, value in moving.items()}
    return parts


def figure_numbers(figure: Figure) -> dict[str, Any]:
    """What else is kept of it, as JSON has it."""
    own = {"faces": figure.source.faces, "missing": figure.missing}
    if isinstance(figure, PersonPlan):
        window = list(figure.source.square.box)
        size = {"canvas": figure.canvas, "aspect": figure.aspect}
        return {**own, **size, "window": window, "names": figure.names}
    if isinstance(figure, ObjectPlan):
        return own
    square = figure.source.square
    return {
        "square": [square.cx, square.cy, square.side],
        **own,
        "beyond": figure.beyond,
        "number": figure.number,
        "driven_by": figure.driven_by,
    }


def figures_of(
    arrays: Sequence[Arrays], numbers: Sequence[dict[str, Any]], spec: JobSpec, limits: MediaLimits
) -> tuple[Figure, ...]:
    """What `figure_arrays` and `figure_numbers` were of.

    Raises:
        KeyError, TypeError, ValueError: if they are not those.
        AnimatorError: those of reading the source, which is read again.
    """
    # Of a video, the face has told all but one picture.
    if any(name.startswith(_MOVING) for parts in arrays for name in parts):
        return tuple(
            _moving_face(parts, told, spec, limits)
            for parts, told in zip(arrays, numbers, strict=True)
        )
    still = read_picture(spec.source, limits)
    return tuple(_figure(parts, told, still) for parts, told in zip(arrays, numbers, strict=True))


def _figure(arrays: Arrays, numbers: dict[str, Any], still: Still) -> Figure:
    if "views" in arrays:
        driving = followed_of(arrays, ViewTrack(arrays["views"]))
        source = ObjectSource(still.pixels, arrays["source"], still.notes)
        return ObjectPlan(source, driving, arrays["targets"], arrays["kept"])
    kind = _person if "window" in numbers else face_of
    return kind(arrays, numbers, still)


def face_of(arrays: Arrays, numbers: dict[str, Any], still: Still) -> FacePlan:
    """A face of a portrait that is a picture."""
    square = Square(*numbers["square"])
    return FacePlan(
        Source(still.pixels, arrays["source"], square, numbers["faces"], still.notes),
        driving_of(arrays),
        arrays["targets"],
        arrays["kept"],
        _runs(numbers),
        numbers["beyond"],
        numbers.get("number"),
        numbers.get("driven_by", "driving"),
    )


def _moving_face(
    arrays: Arrays, numbers: dict[str, Any], spec: JobSpec, limits: MediaLimits
) -> FacePlan:
    moving = parts_of(arrays, _MOVING)
    return FacePlan(
        moving_source(spec, moving_from(moving), limits),
        driving_of(arrays),
        arrays["targets"],
        arrays["kept"],
        _runs(numbers),
        numbers["beyond"],
        shown=moving["shown"],
    )


def _person(arrays: Arrays, numbers: dict[str, Any], still: Still) -> PersonPlan:
    window = Window(*map(int, numbers["window"]))
    height, width = numbers["canvas"]
    return PersonPlan(
        PersonSource(still.pixels, arrays["source"], window, numbers["faces"], still.notes),
        dance_of(arrays),
        arrays["targets"],
        arrays["kept"],
        _runs(numbers),
        (height, width),
        float(numbers["aspect"]),
        tuple(map(str, numbers["names"])),
    )


def _runs(numbers: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    return tuple((first, last) for first, last in numbers["missing"])


def parts_of(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    """The arrays whose names begin like this, by what comes after it."""
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
