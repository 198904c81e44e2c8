"""Whole runs: exact resume, several processes, what a run leaves, how it stops."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from gfla import checkpoint
from gfla.data.readers import Wanted
from gfla.data.samples import Sample
from gfla.errors import GflaError
from gfla.training.config_files import load_config
from gfla.training.dry_run import dry_run
from gfla.training.launch import RunRequest, RunResult, alone_in, launch
from gfla.training.loop import Limits, StepReport
from tests.gfla.training import training_data
from tests.gfla.training.training_data import (
    FACE,
    PAIRS,
    Synthetic,
    configured,
    differing,
    lines_of,
    open_synthetic,
    state_of,
    written,
)

PROCESS = [sys.executable, training_data.__file__]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunResult]:
    """Train in this process: configuration, name of the run folder, overrides, limits."""

    def train(
        text: str,
        name: str,
        *overrides: str,
        max_steps: int | None = None,
        report: Callable[[StepReport], None] = lambda report: None,
        stop: Callable[[], bool] = lambda: False,
        open_data: Any = open_synthetic,
    ) -> RunResult:
        config = configured(tmp_path, text, *overrides)
        limits = Limits(max_steps=max_steps, should_stop=stop)
        request = RunRequest(config, tmp_path, tmp_path / name, device="cpu", limits=limits)
        return launch(request, report, open_data=open_data)

    return train


@pytest.mark.slow
def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(tmp_path: Path) -> None:
    config = str(written(tmp_path, FACE))
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run([*PROCESS, config, str(whole)], check=True)
    died = subprocess.run([*PROCESS, config, str(killed), "--die-after", "25"])
    assert died.returncode == -signal.SIGKILL
    assert state_of(killed)["step"] == 21
    assert lines_of(killed)[-1]["step"] == 24
    # It goes on with other processes for loading, too.
    subprocess.run([*PROCESS, config, str(killed), "data.workers=2"], check=True)
    assert state_of(killed)["step"] == 60
    ours, theirs = state_of(whole), state_of(killed)
    assert ours.pop("config")["data"].pop("workers") == 0
    assert theirs.pop("config")["data"].pop("workers") == 2
    assert not differing(ours, theirs)
    assert lines_of(killed) == lines_of(whole)
    assert [line["step"] for line in lines_of(whole)] == list(range(2, 61, 2))
    weights = [load_file(folder / "average.safetensors") for folder in (whole, killed)]
    assert not differing(*weights)


@pytest.mark.slow
def test_two_processes_equal_one_with_twice_the_batch(tmp_path: Path) -> None:
    config = str(written(tmp_path, PAIRS))
    one, two = tmp_path / "one", tmp_path / "two"
    steps = ["--max-steps", "6", "optimizer.learning_rate=1e-4"]
    subprocess.run([*PROCESS, config, str(one), "batch=4", *steps], check=True)
    subprocess.run([*PROCESS, config, str(two), "--devices", "2", *steps], check=True)
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


def test_a_run_leaves_its_records(run: Callable[..., RunResult], tmp_path: Path) -> None:
    seen: list[StepReport] = []
    result = run(PAIRS, "run", "steps=8", "record.sheet_every=4", report=seen.append)
    folder = tmp_path / "run"
    assert (result.end, result.step) == ("finished", 8)
    assert [report.step for report in seen] == list(range(1, 9))
    assert load_config(folder / "config.yaml") == load_config(
        tmp_path / "config.yaml", ["steps=8", "record.sheet_every=4"]
    )
    assert [line["step"] for line in lines_of(folder)] == [2, 4, 6, 8]
    assert all(np.isfinite(list(line.values())).all() for line in lines_of(folder))
    sheets = sorted(path.name for path in (folder / "samples").iterdir())
    assert sheets == ["0000004.png", "0000008.png"]
    assert list((folder / "tensorboard").iterdir())
    loaded = checkpoint.load(result.weights)
    assert loaded.info["step"] == 8 and loaded.info["name"] == "config"
    assert len(json.loads((folder / "run.json").read_text())) == 1
    assert not list(folder.glob("*.part"))
    # All is done: a call more finds nothing to do.
    assert run(PAIRS, "run", "steps=8", "record.sheet_every=4").step == 8


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


def test_broken_samples_are_counted_and_listed(
    run: Callable[..., RunResult], tmp_path: Path
) -> None:
    run(PAIRS, "run", "data.options.broken=[1, 6]", max_steps=4)
    assert lines_of(tmp_path / "run")[-1]["failed"] == 2
    skipped = lines_of(tmp_path / "run", "skipped.jsonl")
    assert [(line["step"], line["index"]) for line in skipped] == [(1, 1), (4, 6)]
    assert "sample 6 is damaged" in skipped[1]["reason"]
    many = f"data.options.broken={list(range(0, 60, 2))}"
    with pytest.raises(GflaError, match="20 of .* could not be used") as caught:
        run(PAIRS, "many", many)
    assert caught.value.code == "broken_data"
    with pytest.raises(GflaError, match="sample after sample"):
        run(PAIRS, "all", f"data.options.broken={list(range(2, 60))}")


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path) -> None:
    config = configured(tmp_path, PAIRS, "critics.start=5")
    plan = dry_run(RunRequest(config, tmp_path, tmp_path / "run", device="cpu"), open_synthetic)
    assert plan.step_seconds > 0 and plan.sample_seconds > 0 and plan.measured_batch == 2
    assert plan.state_bytes > 4 * 5 * plan.parameters > 0 and plan.critic_parameters > 0
    assert plan.config.startswith("name: config")
    assert not (tmp_path / "run").exists()
