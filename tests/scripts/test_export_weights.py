"""Weights that are made ready to ship: named, small, and averaged over runs."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
import torch

from gfla import checkpoint
from tests.helpers import COMPACT, NARROW, small_generator

SCRIPT = Path(__file__).parents[2] / "scripts" / "export_weights.py"


def export(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["export_weights.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


def test_weights_are_the_mean_of_runs_in_float16(tmp_path, monkeypatch, capsys):
    runs = [small_generator(COMPACT, seed=seed) for seed in (1, 2, 3)]
    files = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path, generator in zip(files, runs, strict=True):
        checkpoint.save(path, generator, {"name": path.stem})
    out = tmp_path / "out.safetensors"
    export(monkeypatch, files[0], out, "--name", "mine", "--mean", files[1], "--mean", files[2])
    exported = checkpoint.load(out)
    assert exported.info["name"] == "mine" and out.stat().st_size < files[0].stat().st_size
    states = [generator.state_dict() for generator in runs]
    for name, value in exported.generator.state_dict().items():
        mean = torch.stack([state[name] for state in states]).mean(0)
        assert torch.allclose(value, mean, atol=1e-3, rtol=1e-3), name


def test_other_networks_have_no_mean(tmp_path, monkeypatch):
    files = [tmp_path / "compact.safetensors", tmp_path / "narrow.safetensors"]
    for path, config in zip(files, (COMPACT, NARROW), strict=True):
        checkpoint.save(path, small_generator(config), {"name": path.stem})
    with pytest.raises(SystemExit, match="different networks"):
        export(monkeypatch, files[0], tmp_path / "out", "--name", "mine", "--mean", files[1])
    assert not (tmp_path / "out").exists()
