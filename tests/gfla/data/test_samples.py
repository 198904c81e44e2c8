"""Positions in the data: processes together see what one process would."""

from __future__ import annotations

from itertools import islice

import pytest

from gfla.data.samples import Positions
from gfla.errors import GflaError


def _first(positions: Positions, count: int) -> list[int]:
    return list(islice(positions, count))


def test_one_process_counts_up_from_its_start() -> None:
    assert _first(Positions(2, start=6), 5) == [6, 7, 8, 9, 10]


def test_two_processes_share_the_steps_of_one_with_twice_the_batch() -> None:
    zero, one = (_first(Positions(2, 4, rank, 2), 4) for rank in (0, 1))
    assert zero == [4, 5, 8, 9]
    assert one == [6, 7, 10, 11]
    assert sorted(zero + one) == _first(Positions(4, 4), 8)


@pytest.mark.parametrize("values", [(0, 0, 0, 1), (1, -1, 0, 1), (1, 0, 1, 1), (1, 0, -1, 2)])
def test_impossible_positions_are_refused(values: tuple[int, int, int, int]) -> None:
    with pytest.raises(GflaError, match="no positions"):
        Positions(*values)
