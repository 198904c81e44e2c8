"""Array types: what a signature means by a picture and by points."""

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""uint8 H W 3, RGB."""
Points = NDArray[np.floating]
"""... x 2, as (x, y); where in pixels, a whole number is the centre of a pixel."""
