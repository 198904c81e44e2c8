"""The ablation study as a user runs it: four trainings and one table."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gfla.person_files import write_prepared

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
SMALL = [
    "model.encoder_widths=[4,6,8]", "model.flow_widths=[4,4,6,6,8]", "model.attention_hidden=8",
    "data.image_size=[64,64]", "data.workers=0", "batch=2", "steps=2",
    "losses.warped=0", "losses.correctness=0", "losses.feature_distance=0",
]  # fmt: skip


@pytest.mark.skipif(not os.environ.get("ANIMATOR_LONG_TESTS"), reason="takes a minute")
def test_one_command_trains_all_four_and_makes_their_table(tmp_path: Path, state_dir: Path) -> None:
    for split in ("train", "held-out"):
        write_prepared(tmp_path / "data" / split, (64, 64), ("a.png", "b.png"))
    command = [sys.executable, str(REPOSITORY / "scripts" / "train_ablations.py"), "people-small"]
    command += ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    command += ["--protocol", "small", "--set", "pictures.height=64", "--set", "pictures.width=64"]
    done = subprocess.run([*command, *SMALL], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "out" / "table" / "table.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:6] == ["copy of the source", "baseline", "global-attention", "bilinear", "full"]

    done = subprocess.run([*command, "steps=0"], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1
    assert "error [invalid_config]: " in done.stderr and "Traceback" not in done.stderr
