"""The framing of a result: how large its face is, and how much is shown around it.

Numbers alone, without a picture, so that what only estimates a job can ask, too.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

Size = Literal["auto"] | int

TRAINED_MARGIN = 1.75
"""Side of the square that the face models see, in units of the face; see `face_square`."""
PLAIN, FINE = 256, 512
"""Sides in pixels of a face's square as it is rendered by default; the finer costs fourfold."""
FINE_FROM = 300
"""Side of a face's square in the source, in pixels, from which the finer one is worth it."""
ABOVE = 0.7
"""Share of the room around a face's square that is above it: hair and hats are, and the square of
the landmarks, which end at the brows, has its own room below the chin."""


class Frame(NamedTuple):
    """What a result shows of a picture around the square of a face, in pixels of the result.

    Attributes:
        side: of what is shown, even.
        face: side of the face's square, even.
        left: where the face's square begins; negative where only a part of it is shown.
        top: likewise.
    """

    side: int
    face: int
    left: int
    top: int


def even(length: float) -> int:
    """The nearest even number, at least 2: video encoders halve the colour planes."""
    return max(2 * round(length / 2), 2)


def face_side(size: Size, margin: float, own: int) -> int:
    """Side in pixels of a face's square in a result that shows as much around it as is asked for.

    Args:
        size: of the result.
        margin: how much is shown, in units of the face.
        own: side of the face's square in the source, in pixels.
    """
    if size == "auto":
        return PLAIN if own < FINE_FROM else FINE
    return even(size * TRAINED_MARGIN / margin)


def rendered_side(face: int, margin: float) -> int:
    """Side in pixels that networks are asked for of a face's square that is shown with ``face``.

    It is a multiple of the side that face models are trained with: between two such multiples
    they draw a face softer than at the lower one.
    """
    if margin == TRAINED_MARGIN:
        return face  # as all results were rendered before there were margins
    return PLAIN * math.ceil(face / PLAIN)


def frame_around(
    place: tuple[int, int, int],
    picture: tuple[int, int],
    size: Size,
    margin: float,
    face: int | None = None,
) -> Frame:
    """What a result shows around a face.

    It does not leave the picture as long as it can be moved, or made smaller down to the face's
    square, so as not to.

    Args:
        place: of the face's square on whole pixels of the picture: left and top edge and side.
        picture: its width and height in pixels.
        size: of the result.
        margin: how much is shown at most, in units of the face. With `TRAINED_MARGIN` it is just
            the face's square, wherever that lies.
        face: side of the face's square in the result, where ``size`` leaves it open and it is
            known.
    """
    left, top, own = place
    # How much is shown, in pixels of the picture.
    wanted = own * margin / TRAINED_MARGIN
    shown = wanted if margin <= TRAINED_MARGIN else max(own, min(wanted, *picture))
    limited = shown < wanted
    # Sides in the result; where the picture ends, rounded so that they do not lead out of it.
    if size == "auto":
        face = face_side(size, margin, own) if face is None else face
        length = face * shown / own
        side = 2 * math.floor(length / 2) if limited else even(length)
    else:
        side, length = size, size * own / shown
        face = 2 * math.ceil(length / 2) if limited else even(length)
    # Where the face is.
    room, scale = side - face, face / own
    if room <= 0:
        return Frame(side, face, room // 2, room // 2)
    across, down = picture
    return Frame(
        side,
        face,
        _offset(room, 0.5, left * scale, (across - left - own) * scale),
        _offset(room, ABOVE, top * scale, (down - top - own) * scale),
    )


def _offset(room: int, share: float, before: float, after: float) -> int:
    """How much of the room goes before the square, as there is so much of the picture around it."""
    least = min(max(room - math.floor(after), 0), room)
    most = min(max(math.floor(before), 0), room)
    if least > most:  # one of the two sides has to be outside
        return (least + most) // 2
    return min(max(round(room * share), least), most)
