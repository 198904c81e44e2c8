from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from gfla.errors import GflaError
from gfla.training.config_files import load_config
from gfla.training.launch import RunRequest, RunResult, alone_in, launch
from gfla.training.loop import Limits
from tests.gfla.training import training_data
from tests.gfla.training.training_data import (
    PAIRS,
    lines_of,
    open_synthetic,
    state_of,
    written,
)

PROCESS = [sys.executable, training_data.__file__]


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    config = str(written(tmp_path, PAIRS))
    one, two = tmp_path / "one", tmp_path / "two"
    rate = "optimizer.learning_rate=1e-4"
    run(PAIRS, "one", "batch=4", rate, max_steps=6)
    command = [*PROCESS, config, str(two), "--devices", "2", "--max-steps", "6", rate]
    subprocess.run(command, check=True)
    ours, theirs = state_of(one), state_of(two)
    assert (theirs["step"], theirs["position"]) == (ours["step"], ours["position"]) == (6, 24)
    assert close_weights(ours, theirs, 1e-4)
    for line, other in zip(lines_of(one), lines_of(two), strict=True):
        assert line == pytest.approx(other, rel=1e-3, abs=1e-4)
    # One process can go on with it if it sees as much in a step.
    for batch, said in ((1, "a step .* 4, not 1"), (4, None)):
        changed = load_config(config, ["optimizer.learning_rate=1e-4", f"batch={batch}"])
        request = RunRequest(changed, tmp_path, two, device="cpu", limits=Limits(max_steps=1))
        with pytest.raises(GflaError, match=said) if said else nullcontext():
            assert launch(request, open_data=open_synthetic).step == 7


def close_weights(one: dict[str, Any], other: dict[str, Any], tolerance: float) -> bool:
    """Whether generator and critics are alike.

    Biases in front of an instance norm, which takes them away again, are left out: their gradients
    are rounding errors, and Adam makes steps of full length of them.
    """
    without_effect = re.compile(r"\.2\.bias$|downs\.\d\.5\.bias$")
    far = [
        name
        for part in ("generator", "critics")
        for name, value in one[part].items()
        if (value - other[part][name]).abs().max() > tolerance
    ]
    return all(without_effect.search(name) for name in far)


def test_another_run_is_refused_and_the_difference_named(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    run(PAIRS, "run", max_steps=1)
    with pytest.raises(GflaError) as caught:
        run(PAIRS, "run", "ema=0.5", "losses.style=1")
    assert caught.value.code == "other_run"
    assert "losses.style: 0.0, not 1.0" in caught.value.message
    assert "ema: 0.9, not 0.5" in caught.value.message
    assert run(PAIRS, "run", "record.log_every=9", "batch=1", "accumulate=2", max_steps=1).step == 2


def test_a_folder_has_one_trainer_at_a_time(run: Callable[..., RunResult], tmp_path: Path) -> None:
    run(PAIRS, "run", max_steps=1)
    before = (tmp_path / "run" / "state.pt").read_bytes()
    with (
        alone_in(tmp_path / "run"),
        pytest.raises(GflaError, match="another process is training") as caught,
    ):
        run(PAIRS, "run", max_steps=1)
    assert caught.value.code == "other_run"
    assert (tmp_path / "run" / "state.pt").read_bytes() == before
    assert run(PAIRS, "run", max_steps=1).step == 2
