"""A sheet that shows a motion: curves of the head, the eyes and the mouth, and a film strip."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Driving
from animator.animation.motion.file import Motion
from animator.animation.motion.summary import MotionCurves, MotionSummary
from animator.faces.crop import face_square, to_crop
from animator.faces.stick_figure import PALE, draw_figure
from animator.media.chart import CUT, EMPTY, Colour, Curve, draw_curves
from animator.media.sheet import COLUMNS, TILE, WIDE, Row, SheetTile, draw_sheet
from gfla.arrays import Picture

_HIGH = 300  # pixels of a chart
_FIGURES = 2 * COLUMNS
_MARGIN = 1.3  # side of a figure's picture, in units of the face
_MOST = 8000  # points of a curve; a line cannot show more
_LEAST_DEGREES, _LEAST_OPENING = 10.0, 0.2
_ROLL, _PITCH, _YAW = (178, 60, 40), (40, 120, 70), (40, 84, 160)
_EYES: tuple[Colour, Colour] = ((30, 120, 170), (110, 170, 205))
_MOUTH: Colour = (190, 60, 70)


def draw_motion(motion: Motion, summary: MotionSummary, curves: MotionCurves) -> Picture:
    """Draw a motion's sheet, uint8 H W 3 RGB.

    Args:
        motion: what is drawn.
        summary: of it.
        curves: of it.
    """
    driving = motion.driving
    # Words for what only some motions have.
    marks: list[tuple[Colour, str]] = [(CUT, "cut")] if summary.cuts else []
    marks += [(EMPTY, "no face")] if summary.missing else []
    seconds, cuts = curves.seconds[:: _step(curves)], _cut_times(driving, curves)
    draw = partial(draw_curves, width=WIDE, height=_HIGH, cuts=cuts)
    head = _lines(curves, curves.angles, (_ROLL, _PITCH, _YAW))
    open_parts = _lines(curves, curves.openings, (*_EYES, _MOUTH))
    rows = [
        Row(
            "Head",
            "How it is held, in degrees, about. Pitch counts from its median.",
            (),
            keys=((_ROLL, "roll"), (_PITCH, "pitch, up"), (_YAW, "yaw, to the right"), *marks),
            wide=draw(seconds, head, least=_LEAST_DEGREES),
        ),
        Row(
            "Eyes and mouth",
            "How far they are open, in units of their width. Of an eye, 0.1 is closed.",
            (),
            keys=((_EYES[0], "left eye"), (_EYES[1], "right eye"), (_MOUTH, "mouth"), *marks),
            wide=draw(seconds, open_parts, least=_LEAST_OPENING, from_zero=True),
        ),
        Row("Film strip", "The landmarks at even times, each around its face.",
            _film(driving, curves)),
    ]  # fmt: skip
    return draw_sheet(motion.origin.name or "motion", sentences(motion, summary), rows)


def sentences(motion: Motion, summary: MotionSummary) -> list[str]:
    """What a person should know of a motion, in lines."""
    rate = "" if summary.rate is None else f" at {summary.rate:g} a second"
    which = motion.origin.face
    face = "the largest face" if which == "largest" else f"face {which}"
    lines = [
        f"{summary.frames} frames{rate}, {summary.seconds:.2f} s; of frames of {summary.width} x "
        f"{summary.height} pixels, with a face of about {summary.face_pixels:.0f}",
        f"face in {summary.with_face} of {summary.frames} frames, confidence "
        f"{summary.confidence:.2f}{_doubt(summary)}; {_count(len(summary.cuts), 'cut')}",
        f"made of {motion.origin.name} (SHA-256 {motion.origin.sha256[:12]}...){_span(motion)}, "
        f"{face}, by {motion.origin.detector}",
    ]
    lines += summary.faults
    rights = (("licence", motion.rights.licence), ("consent", motion.rights.consent))
    lines += [f"{name}: {text or 'nothing was said'}" for name, text in rights]
    return [*lines, *(["note: " + motion.rights.note] if motion.rights.note else [])]


def _doubt(summary: MotionSummary) -> str:
    return f" ({summary.doubtful} doubtful)" if summary.doubtful else ""


def _span(motion: Motion) -> str:
    start, end = motion.origin.start, motion.origin.end
    if start is None and end is None:
        return ""
    until = "its end" if end is None else f"{float(end):g} s"
    return f", from {float(start or 0):g} s to {until}"


def _step(curves: MotionCurves) -> int:
    """Every how many frames a curve has a point."""
    return -(-len(curves.seconds) // _MOST)


def _lines(
    curves: MotionCurves, values: NDArray[np.float64], colours: tuple[Colour, ...]
) -> list[Curve]:
    step = _step(curves)
    return [Curve(values[::step, number], colour) for number, colour in enumerate(colours)]


def _cut_times(driving: Driving, curves: MotionCurves) -> list[float]:
    return [float(curves.seconds[cut]) for cut in (driving.cuts or ())[:_MOST]]


def _film(driving: Driving, curves: MotionCurves) -> list[SheetTile]:
    """Figures at even times, of the frames with a face that are nearest."""
    found = np.flatnonzero(driving.landmarks.found)
    places = np.linspace(0, len(found) - 1, min(_FIGURES, len(found)))
    tiles = []
    for frame in found[np.round(places).astype(int)].tolist():
        points = driving.landmarks.points[frame]
        # Around the face, so that figures of far and near heads are of one size.
        figure = draw_figure(to_crop(points, face_square(points, _MARGIN), TILE), TILE, TILE, PALE)
        # Zero is added so that none is "-0".
        roll, pitch, yaw = (round(float(angle)) + 0 for angle in curves.angles[frame])
        said = f"roll {roll}, pitch {pitch}, yaw {yaw}; mouth {curves.openings[frame, 2]:.2f}"
        tiles.append(SheetTile(figure, f"{curves.seconds[frame]:.2f} s", said))
    return tiles


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
