"""Dances, which move persons: joints and times, as a value and as arrays of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animator.animation.driving import Followed, followed_of, time_arrays
from animator.files.arrays import from_text, to_text
from animator.persons.track import BodyTrack

Dance = Followed[BodyTrack]
"""A video, a picture, or joints alone, that moves a person."""


def dance_arrays(dance: Dance) -> dict[str, NDArray[Any]]:
    """A dance as arrays, from which `dance_of` makes an equal one."""
    canvas = json.dumps(dance.landmarks.canvas)
    joints = np.asarray(dance.landmarks.joints)
    return time_arrays(dance) | {"joints": joints, "canvas": from_text(canvas)}


def dance_of(arrays: Mapping[str, NDArray[Any]]) -> Dance:
    """The dance of `dance_arrays`.

    Raises:
        KeyError, TypeError, ValueError: if they are not those.
    """
    canvas = json.loads(to_text(arrays["canvas"]))
    size = None if canvas is None else (int(canvas[0]), int(canvas[1]))
    return followed_of(arrays, BodyTrack(arrays["joints"], size))
