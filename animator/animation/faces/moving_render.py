"""Frames of a face of a video: what a clip makes of each, with that frame as its source.

The source's own picture of a frame is its reference in that frame, and the frame that was generated
before it is the other one, as for a still portrait. A clip begins anew where the face comes into
sight and where a shot begins; frames that do not show the face are not generated at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from animator.animation.faces.figure import FacePlan
from animator.animation.rollout.clip import DEPTH, Clip
from animator.faces.moving_square import cut_square
from gfla.arrays import Picture
from gfla.models.rollout import RolloutState

Rendered = tuple[Picture, RolloutState]


def generated(face: FacePlan) -> NDArray[np.bool_]:
    """T', which frames of the result are generated: those that show the face, if it moves."""
    moving, shown = face.source.moving, face.shown
    if moving is None or shown is None:
        return np.ones(len(face.targets), np.bool_)
    # What is not moved would only lose by the networks.
    return moving.there[shown] & (not face.still)


def beginning(face: FacePlan) -> NDArray[np.bool_]:
    """T', which frames of the result begin anew, of those that are generated."""
    moving, shown = face.source.moving, face.shown
    if moving is None or shown is None:
        return np.arange(len(face.targets)) == 0
    # A frame with which something begins may itself be passed over, at a lower rate.
    count = np.cumsum(moving.begins)[shown]
    begins = np.diff(count, prepend=count[0] - 1) != 0
    return np.asarray(begins & generated(face))


def render_moving(
    clip: Clip, face: FacePlan, side: int, pictures: Iterator[Picture], first: int
) -> Iterator[Rendered | None]:
    """What a clip makes of each frame of the result; None of those that are not generated.

    Args:
        clip: of the face; nothing else is put into it.
        face: of a portrait that is a video.
        side: of the pictures that the networks see, in pixels.
        pictures: the source's picture of each frame, from the first on.
        first: the number of the first frame.
    """
    assert face.source.moving is not None and face.shown is not None
    wanted, anew = generated(face), beginning(face)
    own = face.own
    asked: deque[bool] = deque()
    for number, picture in zip(range(first, len(wanted)), pictures, strict=False):
        if len(asked) == DEPTH:
            yield clip.get() if asked.popleft() else None
        if wanted[number]:
            seen = cut_square(picture, face.square(number), side)
            clip.put_from(face.targets[number], seen, own[number], bool(anew[number]))
        asked.append(bool(wanted[number]))
    while asked:
        yield clip.get() if asked.popleft() else None
