"""Pairs of views of one object, to train view synthesis: from ShapeNet's HDF5 file, or made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gfla.data.samples import Sample, epoch_order
from gfla.errors import GflaError

AZIMUTHS = 18
"""Views around an object, 20 degrees apart."""
ELEVATIONS = 3
"""0, 10 and 20 degrees above the ground."""
CHANNELS = AZIMUTHS + ELEVATIONS
Targets = Literal["same-elevation", "any"]


class Views(Protocol):
    """Objects, each seen from every azimuth and elevation."""

    @property
    def objects(self) -> Sequence[str]:
        """Names of the objects."""
        ...

    def picture(self, name: str, azimuth: int, elevation: int) -> NDArray[np.uint8]:
        """RGB H W 3 of an object; azimuth 0..17 in steps of 20 degrees, elevation 0..2 of 10.

        Raises:
            GflaError: ``invalid_sample`` if this view is missing or damaged.
        """
        ...


def view_vector(azimuth: int, elevation: int) -> Tensor:
    """The structure of a view: float32 21 1 1, one-hot in 18 azimuths, then in 3 elevations.

    Raises:
        GflaError: ``invalid_data`` outside 0..17 and 0..2.
    """
    if not (0 <= azimuth < AZIMUTHS and 0 <= elevation < ELEVATIONS):
        message = f"view ({azimuth}, {elevation}): azimuths are 0..17 and elevations 0..2"
        raise GflaError("invalid_data", message)
    vector = torch.zeros(CHANNELS, 1, 1)
    vector[azimuth] = vector[AZIMUTHS + elevation] = 1
    return vector


class ViewPairs:
    """Endless pairs: every view of every object once an epoch as source, a random one as target.

    Args:
        views: the objects.
        image_size: height and width of the pictures.
        targets: "same-elevation" draws the target's azimuth alone, as published; "any" draws its
            elevation, too.
        pairs: only the first so many of them, again and again, to see that a network learns.
        seed: of order and targets.

    Raises:
        GflaError: ``no_data`` without objects, ``invalid_config`` for other targets or no pairs.
    """

    def __init__(
        self,
        views: Views,
        image_size: tuple[int, int] = (256, 256),
        *,
        targets: Targets = "same-elevation",
        pairs: int | None = None,
        seed: int = 0,
    ) -> None:
        if not views.objects:
            raise GflaError("no_data", "there is no object whose views are complete")
        if targets not in ("same-elevation", "any"):
            message = f"targets is {targets!r}; allowed are same-elevation and any"
            raise GflaError("invalid_config", message)
        if pairs is not None and (type(pairs) is not int or pairs < 1):
            raise GflaError("invalid_config", f"pairs is {pairs!r}; needs a whole number from 1")
        self.views = views
        self.image_size = image_size
        self.targets = targets
        self.pairs = pairs
        self.seed = seed
        # OpenCV's threads would not live on in forked loader workers.
        cv2.setNumThreads(1)

    def __getitem__(self, index: int, /) -> Sample:
        """``source`` and ``target`` uint8 3 H W, their structures float32 21 1 1.

        Raises:
            GflaError: ``invalid_sample`` if one of the views is missing or damaged.
            IndexError: below 0.
        """
        if index < 0:
            raise IndexError(f"pairs have indices from 0, got {index}")
        if self.pairs is not None:
            index %= self.pairs
        per_object = AZIMUTHS * ELEVATIONS
        # Source: each view once an epoch. Target: another draw, which may hit the same view.
        count = len(self.views.objects) * per_object
        epoch, place = divmod(index, count)
        chosen = int(epoch_order(self.seed, epoch, count)[place])
        name, view = self.views.objects[chosen // per_object], chosen % per_object
        azimuth, elevation = view % AZIMUTHS, view // AZIMUTHS
        random = np.random.default_rng([self.seed, index])
        wanted = int(random.integers(AZIMUTHS))
        level = elevation if self.targets != "any" else int(random.integers(ELEVATIONS))
        return {
            "source": self._picture(name, azimuth, elevation),
            "source_structure": view_vector(azimuth, elevation),
            "target": self._picture(name, wanted, level),
            "target_structure": view_vector(wanted, level),
        }

    def _picture(self, name: str, azimuth: int, elevation: int) -> Tensor:
        picture = self.views.picture(name, azimuth, elevation)
        height, width = self.image_size
        if picture.shape[:2] != self.image_size:
            # Areas when it shrinks, cubic when it grows.
            smaller = height * width < picture.shape[0] * picture.shape[1]
            method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
            resized = cv2.resize(picture, (width, height), interpolation=method)
            picture = np.asarray(resized, np.uint8)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
