from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gfla import checkpoint
from gfla.errors import GflaError
from gfla.training.config_files import load_config
from gfla.training.launch import RunResult
from gfla.training.loop import StepReport
from tests.gfla.training.training_data import (
    PAIRS,
    lines_of,
)


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
