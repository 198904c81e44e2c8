"""Transfer curves and primaries of ITU-T H.273, as formulas.

Light is linear, in units of diffuse white: 1 is the white of an SDR screen, 203 cd/m2 of an HDR
one (ITU-R BT.2408).
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

PQ = 16
HLG = 18
ADOBE_RGB = 256
"""Primaries that H.273 has no number for."""
_WHITE = 203.0
_D65, _C, _E, _DCI = (0.3127, 0.329), (0.31, 0.316), (1 / 3, 1 / 3), (0.314, 0.351)

GAMUTS: dict[int, tuple[tuple[float, float], ...]] = {
    1: ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), _D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), _D65),
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _DCI),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
    ADOBE_RGB: ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65),
    22: ((0.63, 0.34), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""Chromaticities x, y of red, green, blue and white, by the number of the primaries."""

_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class TransferCurve(Enum):
    """How an SDR screen makes light of a code: for videos and for photos."""

    BT1886 = "BT.1886"
    SRGB = "sRGB"


def linear(code: Values, transfer: int, curve: TransferCurve) -> Values:
    """Light of a code 0..1; of HLG the scene's, 0..1, without the system gamma."""
    if transfer == PQ:
        root = code ** (32 / 2523)
        above = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return above ** (8192 / 1305) * (10000 / _WHITE)
    if transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    if transfer == 4 and curve is TransferCurve.SRGB:
        return code**2.2
    if transfer in (5, 8, 17):
        return code ** {5: 2.8, 8: 1.0, 17: 2.6}[transfer] * (52.37 / 48 if transfer == 17 else 1)
    if transfer in (9, 10):
        decades = 2.0 if transfer == 9 else 2.5
        return np.where(code > 0, 10 ** (decades * (code - 1)), 0.0)
    if curve is TransferCurve.BT1886:
        return code**2.4
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def coded(light: Values, curve: TransferCurve, *, soft: bool) -> Values:
    """Code 0..1 of light for an SDR screen, which what is brighter runs into if ``soft``."""
    if curve is TransferCurve.BT1886:
        code = light ** (1 / 2.4)
    else:
        code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    if soft:
        over = np.maximum(code - _KNEE, 0) / (1 - _KNEE)
        bent = over / (1 + over**_BEND) ** (1 / _BEND)
        code = np.minimum(code, _KNEE) + (1 - _KNEE) * bent
    return np.clip(code, 0, 1)


# Diffuse white comes out as 254 of 255, and what is below the knee unchanged: footage that was
# graded for SDR and stored as HDR keeps its look.
_KNEE, _BEND = 0.94, 7.0


@lru_cache
def to_bt709(primaries: int) -> npt.NDArray[np.float32]:
    """3 x 3, from light in these primaries to light in BT.709's, with the white kept white."""
    own, ours = (_to_xyz(GAMUTS[number]) for number in (primaries, 1))
    white, d65 = (_white(GAMUTS[number][3]) for number in (primaries, 1))
    cones = np.diag((_BRADFORD @ d65) / (_BRADFORD @ white))
    adapted = np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD
    return (np.linalg.inv(ours) @ adapted @ own).astype(np.float32)


def _to_xyz(gamut: tuple[tuple[float, float], ...]) -> Values:
    columns = np.array([(x, y, 1 - x - y) for x, y in gamut[:3]]).T
    return columns * np.linalg.solve(columns, _white(gamut[3]))


def _white(point: tuple[float, float]) -> Values:
    x, y = point
    return np.array([x / y, 1.0, (1 - x - y) / y])
