"""A run in this process, for the tests beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gfla.training.launch import RunRequest, RunResult, launch
from gfla.training.loop import Limits, StepReport
from tests.gfla.training.training_data import (
    configured,
    open_synthetic,
)


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
