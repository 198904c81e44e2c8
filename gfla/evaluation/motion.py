"""Measures of a rendered clip's motion by landmarks: where they are and how they shake."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gfla.arrays import Points
from gfla.errors import GflaError

OUTER_EYES = (36, 45)


def eye_distance(points: Points) -> NDArray[np.floating]:
    """Distance of the outer eye corners of landmarks ... x 68 x 2."""
    left, right = (points[..., corner, :] for corner in OUTER_EYES)
    return np.asarray(np.linalg.norm(left - right, axis=-1))


def landmark_error(found: Points, wanted: Points) -> float:
    """Mean distance of landmarks in percent of the distance of the outer eye corners.

    Args:
        found: ... x 68 x 2, in the picture that was rendered.
        wanted: likewise, those that were asked for.
    """
    distances = np.linalg.norm(found - wanted, axis=-1).mean(-1)
    return float(np.mean(100 * distances / eye_distance(wanted)))


def jitter(found: Points, wanted: Points) -> float:
    """How the rendered face shakes beside the motion that was asked for.

    With p_t the landmarks found in frame t and q_t those wanted, this is the mean over frames and
    landmarks of |(p_{t+1} - 2 p_t + p_{t-1}) - (q_{t+1} - 2 q_t + q_{t-1})|, in percent of the mean
    distance of the outer eye corners of q. It is 0 where the face moves as wanted, whatever its
    place; a picture that stands still has the driving face's own accelerations.

    Args:
        found: T x 68 x 2 in successive frames, T at least 3.
        wanted: likewise.

    Raises:
        GflaError: ``too_few_samples``.
    """
    if len(wanted) < 3:
        raise GflaError("too_few_samples", f"jitter needs 3 successive frames, got {len(wanted)}")
    # Second differences are linear, so those of the difference are the difference of those.
    difference = np.diff(np.asarray(found, np.float64) - wanted, 2, axis=0)
    return float(100 * np.linalg.norm(difference, axis=-1).mean() / eye_distance(wanted).mean())


def there_and_back(length: int, count: int) -> NDArray[np.intp]:
    """Numbers of ``count`` frames of a clip played forwards, backwards, forwards, ...

    Nothing jumps where it turns, so a short clip can drive a long one.
    """
    if length == 1:
        return np.zeros(count, np.intp)
    period = 2 * (length - 1)
    phase = np.arange(count) % period
    return np.where(phase < length, phase, period - phase)
