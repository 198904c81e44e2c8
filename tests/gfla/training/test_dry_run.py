from __future__ import annotations

from pathlib import Path

from gfla.training.dry_run import dry_run
from gfla.training.launch import RunRequest
from tests.gfla.training.training_data import (
    PAIRS,
    configured,
    open_synthetic,
)


def test_a_dry_run_measures_and_writes_nothing(tmp_path: Path) -> None:
    config = configured(tmp_path, PAIRS, "critics.start=5")
    plan = dry_run(RunRequest(config, tmp_path, tmp_path / "run", device="cpu"), open_synthetic)
    assert plan.step_seconds > 0 and plan.sample_seconds > 0 and plan.measured_batch == 2
    assert plan.state_bytes > 4 * 5 * plan.parameters > 0 and plan.critic_parameters > 0
    assert plan.config.startswith("name: config")
    assert not (tmp_path / "run").exists()
