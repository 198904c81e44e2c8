from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gfla.data.readers import Wanted
from gfla.data.samples import Sample
from gfla.errors import GflaError
from gfla.training.launch import RunResult
from tests.gfla.training.training_data import (
    FACE,
    PAIRS,
    Synthetic,
    lines_of,
    state_of,
)


def test_accumulated_batches_equal_one_batch(run: Callable[..., RunResult], tmp_path: Path) -> None:
    # Gradients, as Adam's means hold them: of those that are rounding errors it makes whole steps,
    # so that weights tell of the processor, too.
    run(PAIRS, "one", "batch=4", max_steps=1)
    run(PAIRS, "parts", "batch=1", "accumulate=4", max_steps=1)
    one, parts = state_of(tmp_path / "one"), state_of(tmp_path / "parts")
    assert parts["position"] == one["position"] == 4
    for name in ("optimizer", "critic_optimizer"):
        gradients = [
            torch.cat([value["exp_avg_sq"].flatten() for value in state[name]["state"].values()])
            for state in (one, parts)
        ]
        assert gradients[0].norm() > 0
        assert (gradients[0] - gradients[1]).norm() < 1e-3 * gradients[0].norm()


def test_limits_and_signals_end_with_a_checkpoint(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    assert run(PAIRS, "run", max_steps=3).end == "max-steps"
    assert state_of(tmp_path / "run")["step"] == 3
    assert run(PAIRS, "run", stop=lambda: True).end == "stopped"
    assert state_of(tmp_path / "run")["step"] == 4


def test_blocks_are_steps_and_a_run_stops_between_clips(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    result = run(FACE, "run", "frames=6", "critics.temporal=[]", max_steps=3)
    assert result.step == 4
    state = state_of(tmp_path / "run")
    assert (state["step"], state["position"]) == (4, 2)


def test_critics_wait_for_their_step(run: Callable[..., RunResult], tmp_path: Path) -> None:
    run(PAIRS, "run", "critics.start=2", "record.log_every=1", max_steps=3)
    played = ["critic_image" in line for line in lines_of(tmp_path / "run")]
    assert played == [False, False, True]


class Poisoned(Synthetic):
    """Samples of which the fifth overflows."""

    def __getitem__(self, index: int, /) -> Sample:
        sample = super().__getitem__(index)
        if index == 4:
            sample["source_structure"] = torch.full_like(sample["source_structure"], 3e38)
        return sample


def test_a_loss_that_is_not_finite_stops_and_keeps_the_batch(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    def poisoned(kind: str, folder: Path, wanted: Wanted, options: object) -> Poisoned:
        return Poisoned(kind, wanted)

    with pytest.raises(GflaError) as caught:
        run(PAIRS, "run", "record.save_every=1", open_data=poisoned)
    assert caught.value.code == "diverged"
    assert "step 3" in caught.value.message and "reconstruction nan" in caught.value.message
    (path,) = (tmp_path / "run").glob("diverged-*.npz")
    with np.load(path, allow_pickle=False) as batch:
        assert batch["source_structure"].shape == (2, 3, 64, 64)
        assert batch["source_structure"].max() > 1e38
    state = state_of(tmp_path / "run")
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in state["generator"].values())
