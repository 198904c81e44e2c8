"""Names of the measures and contact sheets of a report, and the layout of pictures."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from animator.dataset.report.strips import Strip
from animator.dataset.report.words import number

_EYES = "in % of the distance between the outer corners of the eyes"
MEASURES = {
    "face_coverage": ("Face coverage", "Share of the frames in which a face is found, 0 to 1."),
    "landmark_error": ("Landmark error", f"Distance of landmarks from those asked for, {_EYES}."),
    "identity": ("Identity", "Likeness to the face of the source, up to 1."),
    "sharpness": ("Sharpness", "Fine detail of the face, as the variance of its Laplacian."),
    "jitter": ("Jitter", f"How the face shakes beside the motion asked for, {_EYES}."),
    "mouth_opening": (
        "Mouth opening",
        "How far the lips are from as open as asked for, in % of the face's size.",
    ),
    "eyes_opening": (
        "Eye opening",
        "How far the lids are from as open as asked for, in % of an eye's width.",
    ),
}
_UNITS = dict.fromkeys(("landmark_error", "jitter", "mouth_opening", "eyes_opening"), " %")
SHEETS = {
    "best": ("Best", "The highest combined ranks, from the best on."),
    "median": ("Median", "The middle of the ranking: what to expect of most samples."),
    "worst": ("Worst", "The lowest combined ranks, from the worst on."),
    "some": ("Some", "Without quality measures nothing is ranked; these are spread over the run."),
}
_BROAD, _TALL = 1.4, 0.6  # width to height from which frames are arranged differently


def value(measure: str, amount: float) -> str:
    """A value of a measure with its unit."""
    return number(amount) + _UNITS.get(measure, "")


def pictures(strip: Strip) -> Iterator[tuple[str, float]]:
    """The pictures of a strip as base64, and the second that each shows."""
    for jpeg, second in zip(strip.jpegs, strip.seconds, strict=True):
        yield base64.b64encode(jpeg).decode(), second


def shape(strip: Strip) -> str:
    """The class by which frames that are broad or tall are arranged."""
    aspect = strip.width / strip.height
    return " broad" if aspect > _BROAD else " tall" if aspect < _TALL else ""
