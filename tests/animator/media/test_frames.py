from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from animator.media.frames import FrameBatch


def make(**changes: Any) -> FrameBatch:
    values: dict[str, Any] = {
        "pixels": np.zeros((3, 4, 6, 3), np.uint8),
        "pts": (1001, 2002, 4004),
        "time_base": Fraction(1, 30000),
    }
    return FrameBatch(**(values | changes))


def test_seconds_come_from_the_exact_time_base() -> None:
    batch = make()
    assert len(batch) == 3
    np.testing.assert_allclose(batch.seconds, [1001 / 30000, 2002 / 30000, 4004 / 30000])
    assert batch.seconds.dtype == np.float64


def test_a_batch_may_be_empty() -> None:
    assert len(make(pixels=np.zeros((0, 4, 6, 3), np.uint8), pts=())) == 0


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"pixels": np.zeros((3, 4, 6, 3), np.float32)}, TypeError, "uint8, got float32"),
        ({"pixels": np.zeros((4, 6, 3), np.uint8)}, ValueError, "T H W 3"),
        ({"pixels": np.zeros((3, 4, 6, 4), np.uint8)}, ValueError, "T H W 3"),
        ({"pts": (1, 2)}, ValueError, "3 frames need as many pts, got 2"),
        ({"pts": (1, 1, 2)}, ValueError, "increase strictly"),
        ({"pts": (3, 2, 1)}, ValueError, "increase strictly"),
        ({"time_base": 1 / 30}, TypeError, "Fraction"),
        ({"time_base": Fraction(0)}, ValueError, "positive"),
    ],
)
def test_mismatches_are_refused(
    changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(**changes)
