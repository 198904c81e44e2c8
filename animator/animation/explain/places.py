"""The places of a face, a person or an object whose attention a sheet shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animator.media.sheet import Colour
from gfla.joints import JOINTS, found

PlaceOf = tuple[str, Colour, float, float]
"""Name as seen in the picture, colour, and position in units of what the networks see."""

PLACES: tuple[tuple[str, Colour, tuple[int, ...]], ...] = (
    ("left eye", (86, 180, 233), tuple(range(36, 42))),
    ("right eye", (0, 92, 190), tuple(range(42, 48))),
    ("nose", (240, 228, 66), (30,)),
    ("corner of the mouth", (230, 40, 30), (54,)),
    ("jaw", (0, 158, 115), (5,)),
)
"""Places whose attention is shown: name as in the picture, colour, landmarks whose mean it is."""
HAIR: tuple[str, Colour] = ("hair", (213, 94, 190))
"""The last place; no landmark lies on it."""
_JOINTS: tuple[tuple[str, Colour, str], ...] = (
    ("nose", (240, 228, 66), "nose"),
    ("neck", (230, 40, 30), "neck"),
    ("person's right hand", (86, 180, 233), "right wrist"),
    ("person's left hand", (0, 92, 190), "left wrist"),
    ("person's right knee", (0, 158, 115), "right knee"),
    ("person's left foot", (213, 94, 190), "left ankle"),
)
_QUARTERS: tuple[PlaceOf, ...] = (
    ("middle", (230, 40, 30), 0.5, 0.5),
    ("upper left", (86, 180, 233), 0.3, 0.35),
    ("upper right", (0, 92, 190), 0.7, 0.35),
    ("lower left", (0, 158, 115), 0.3, 0.65),
    ("lower right", (213, 94, 190), 0.7, 0.65),
)


def face_places(landmarks: NDArray[np.floating]) -> list[PlaceOf]:
    """Name, colour and position of the marked places of a face with these landmarks 68 x 2.

    Positions are in units of the crop, like the landmarks.
    """
    marked = [(name, colour, landmarks[list(which)].mean(0)) for name, colour, which in PLACES]
    bridge, chin = landmarks[27], landmarks[8]
    marked.append((*HAIR, bridge - 0.6 * (chin - bridge)))
    return [(name, colour, *point.clip(0.02, 0.98).tolist()) for name, colour, point in marked]


def person_places(joints: NDArray[np.floating], size: tuple[int, int]) -> list[PlaceOf]:
    """Name, colour and position of the marked places of a person.

    Args:
        joints: 18 x 2 pixels of what the networks see; those that are missing are left out.
        size: its height and width.
    """
    there, marked = found(np.asarray(joints)), []
    for name, colour, joint in _JOINTS:
        if there[JOINTS.index(joint)]:
            x, y = (joints[JOINTS.index(joint)] / (size[1], size[0])).clip(0.02, 0.98).tolist()
            marked.append((name, colour, x, y))
    return marked


def object_places() -> list[PlaceOf]:
    """Name, colour and position of the marked places of a picture whose object is not known."""
    return list(_QUARTERS)
