"""Batches: the same in any number of processes, and sturdy against broken samples."""

from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from gfla.data.samples import Positions, Sample
from gfla.errors import GflaError
from gfla.training.loader import TRIES, Sturdy, check_failures, make_loader


class Numbers:
    """Sample i holds i; some are broken, some hold NaN, one is a mistake of the program."""

    def __getitem__(self, index: int, /) -> Sample:
        if index in (3, 4):
            raise GflaError("invalid_data", f"{index} is damaged")
        if index >= 100:
            raise OSError("nothing is here")
        if index == 50:
            raise TypeError("a mistake")
        return {"value": torch.tensor([float("nan") if index == 7 else float(index)])}


def _batches(count: int, workers: int, start: int = 0) -> list[tuple[list[float], list[int]]]:
    loader = make_loader(Numbers(), Positions(2, start), workers, 2, pin_memory=False)
    return [
        (batch.tensors["value"].flatten().tolist(), [f.index for f in batch.failures])
        for batch in islice(loader, count)
        if batch.tensors is not None
    ]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_samples_are_replaced_by_the_next_and_told(workers: int) -> None:
    expected = [([0, 1], []), ([2, 5], [3, 4]), ([5, 5], [4]), ([6, 8], [7])]
    assert _batches(4, workers) == expected


def test_workers_start_though_opencv_has_run_on_several_threads() -> None:
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((1500, 1500, 3), np.uint8), (0, 0), 3)
    assert len(_batches(2, workers=2)) == 2


def test_a_start_in_the_middle_gives_the_rest() -> None:
    assert _batches(2, 0, start=8) == _batches(6, 0)[4:]


def test_when_sample_after_sample_fails_there_is_none() -> None:
    sample, failures = Sturdy(Numbers())[200]
    assert sample is None and len(failures) == TRIES


def test_mistakes_of_the_program_are_not_taken_for_broken_data() -> None:
    with pytest.raises(TypeError, match="a mistake"):
        Sturdy(Numbers())[50]


def test_a_run_stops_beyond_twenty_failures_that_are_over_a_hundredth() -> None:
    check_failures(19, 0, "")
    check_failures(20, 2000, "")
    with pytest.raises(GflaError, match="20 of 2019 samples .* the latest: a reason") as caught:
        check_failures(20, 1999, "a reason")
    assert caught.value.code == "broken_data"
