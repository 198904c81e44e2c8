"""The mean head's maker finds the depth of heads that it is shown."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from animator.faces.mean_head import MEAN_HEAD
from tests.synthetic_heads import person, seen, talk, waves

SCRIPT = Path(__file__).parents[2] / "scripts" / "fit_head.py"
PEOPLE, FRAMES = 10, 90


@pytest.mark.slow
def test_depth_and_outline_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "packs" / "train"
    folder.mkdir(parents=True)
    for who in range(PEOPLE):
        angles = waves(who, FRAMES, 25 if who % 2 else 4)
        points = seen(person(who), angles, talk(who, FRAMES), noise=0.3, seed=who)
        about = json.dumps({"identity": f"p{who}", "license": "MIT"}).encode()
        np.savez(
            folder / f"{who}.npz",
            landmarks=points.astype(np.float32),
            meta=np.frombuffer(about, np.uint8),
        )
    table = tmp_path / "mean.py"
    command = [sys.executable, str(SCRIPT), str(tmp_path / "packs"), "-o", str(table)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "10 people, 900 frames; 5 turn by 15 degrees" in done.stdout
    assert "MIT 10" in done.stdout
    found = runpy.run_path(str(table))["MEAN_HEAD"]
    assert found.shape == (68, 3)
    assert np.allclose(found[[36, 45]], [[-1, 0, 0], [1, 0, 0]], atol=2e-3)
    # Of five people that are each another one; what faces do all the time is part of it.
    steady = [*range(27, 36), 36, 39, 42, 45]
    assert np.abs(found - MEAN_HEAD)[steady].max() < 0.2
    assert abs(found[30, 2] - MEAN_HEAD[30, 2]) < 0.15
