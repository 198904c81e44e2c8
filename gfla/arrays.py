"""Array types, and the way from units of a picture to its pixels.

Units are 0 to 1 from edge to edge; in pixels a whole number is the centre of a pixel, so the left
edge is at -0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # quick commands do without PyTorch
    from torch import Tensor

Picture = NDArray[np.uint8]
"""uint8 H W 3, RGB."""
Points = NDArray[np.floating]
"""... x 2, as (x, y); where in pixels, a whole number is the centre of a pixel."""
Coordinates = TypeVar("Coordinates", NDArray[Any], "Tensor")


def to_pixels(units: Coordinates, size: int | Coordinates) -> Coordinates:
    """Places in units of a picture as pixel coordinates of one with sides of ``size``."""
    return units * size - 0.5


def pixel_centres(size: int) -> NDArray[np.float64]:
    """Where the pixels of a side lie, in units of the picture."""
    return (np.arange(size) + 0.5) / size
