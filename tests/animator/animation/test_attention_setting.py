from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch

from animator.animation.rollout.loading import load_portrait
from animator.cli.doctor import examine
from animator.errors import AnimatorError
from animator.settings import AttentionBackend, Settings
from gfla.models.attention import LocalAttention
from gfla.ops.backends import BACKENDS


@pytest.fixture(autouse=True)
def no_device(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_the_setting_knows_the_backends_there_are() -> None:
    assert get_args(AttentionBackend) == BACKENDS
    assert Settings.from_environment({}).attention == "auto"


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(AnimatorError, match="ANIMATOR_ATTENTION") as caught:
        Settings.from_environment({"ANIMATOR_ATTENTION": "cudnn"})
    assert caught.value.code == "invalid_option"


def test_it_reaches_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMATOR_ATTENTION", "torch")
    network = load_portrait("default", "cpu", "float32", Settings.from_environment()).network
    blocks = [m for m in network.modules() if isinstance(m, LocalAttention)]
    assert blocks and {block.backend for block in blocks} == {"torch"}


def test_a_backend_that_cannot_run_is_refused_and_doctor_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANIMATOR_ATTENTION", "triton")
    with pytest.raises(AnimatorError, match="ANIMATOR_ATTENTION") as caught:
        load_portrait("default", "cpu", "float32", Settings.from_environment())
    assert caught.value.code == "device_unavailable"
    report = examine()
    assert report.sections["attention"]["auto takes"] == "torch"
    assert report.sections["attention"]["triton"].startswith("not usable: ")
    assert any(problem.startswith("attention: ") for problem in report.problems)
