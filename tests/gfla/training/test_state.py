from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gfla import checkpoint
from gfla.errors import GflaError
from gfla.training.config_files import load_config
from gfla.training.launch import RunResult
from gfla.training.state import learning_rate
from tests.gfla.training import training_data
from tests.gfla.training.training_data import (
    FACE,
    PAIRS,
    differing,
    lines_of,
    state_of,
    written,
)

PROCESS = [sys.executable, training_data.__file__]


@pytest.mark.slow
def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    config = str(written(tmp_path, FACE))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(FACE, "whole", "steps=30")
    died = subprocess.run([*PROCESS, config, str(killed), "steps=30", "--die-after", "25"])
    assert died.returncode == -signal.SIGKILL
    assert state_of(killed)["step"] == 21
    assert lines_of(killed)[-1]["step"] == 24
    # It goes on with other processes for loading, too.
    subprocess.run([*PROCESS, config, str(killed), "steps=30", "data.workers=2"], check=True)
    assert state_of(killed)["step"] == 30
    ours, theirs = state_of(whole), state_of(killed)
    assert ours.pop("config")["data"].pop("workers") == 0
    assert theirs.pop("config")["data"].pop("workers") == 2
    assert not differing(ours, theirs)
    assert lines_of(killed) == lines_of(whole)
    assert [line["step"] for line in lines_of(whole)] == list(range(2, 31, 2))
    weights = [load_file(folder / "average.safetensors") for folder in (whole, killed)]
    assert not differing(*weights)


def test_stage_2_starts_from_stage_1(run: Callable[..., RunResult], tmp_path: Path) -> None:
    first = run(PAIRS, "first", "stage=flow", "losses.flow_correctness=0", max_steps=2)
    run(PAIRS, "second", f"start_from={first.weights}", stop=lambda: True)
    stage_1 = checkpoint.load(first.weights).generator.state_dict()
    stage_2 = state_of(tmp_path / "second")["generator"]
    for name, value in stage_1.items():  # one step of Adam is as long as the learning rate
        torch.testing.assert_close(stage_2[name], value, atol=1.1e-3, rtol=0)
    with pytest.raises(GflaError, match="another model"):
        run(PAIRS, "third", f"start_from={first.weights}", "model.attention_hidden=5")


def test_old_or_damaged_states_are_refused(run: Callable[..., RunResult], tmp_path: Path) -> None:
    for name, content in (("old", {"generator": {}}), ("other", [1])):
        (tmp_path / name).mkdir()
        torch.save(content, tmp_path / name / "state.pt")
        with pytest.raises(GflaError, match="no state of this trainer"):
            run(PAIRS, name)
    (tmp_path / "old" / "state.pt").write_bytes(b"nothing")
    with pytest.raises(GflaError, match="cannot read"):
        run(PAIRS, "old")


def test_the_learning_rate_rises_and_falls() -> None:
    cosine = ["optimizer.schedule=cosine", "optimizer.warmup_steps=2", "steps=8"]
    config = load_config("face", cosine)
    rates = [learning_rate(config, step) for step in range(9)]
    assert rates[0] < rates[1] == max(rates)
    assert rates[-1] == pytest.approx(1e-4 / 20)
    assert learning_rate(load_config("face"), 10**6) == 1e-4
