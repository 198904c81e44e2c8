"""Region packs as a user makes them: cut by several processes, kept by a second run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gfla.data.packs import read_pack, write_pack
from tests.golden.faces import MEAN_FACE

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
FRAMES = {"train/clip.npz": 6, "train/still.npz": 1, "test/clip.npz": 2}


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for name, count in FRAMES.items():
        path = tmp_path / "packs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = list(random.integers(0, 256, (count, 128, 128, 3), np.uint8))
        moved = MEAN_FACE + 0.01 * random.standard_normal((count, 1, 2))
        write_pack(path, frames, np.asarray(moved, np.float32), {"identity": name})
    return tmp_path / "packs"


def prepare(packs: Path, most_frames: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(REPOSITORY / "scripts" / "prepare_regions.py"), str(packs)]
    command += [str(packs.parent / "regions"), "--most-frames", str(most_frames), "--workers", "2"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_region_packs_are_cut_once_and_with_one_set_of_options(packs: Path) -> None:
    done = prepare(packs, 4)
    assert done.returncode == 0, done.stderr
    counts = ["train: 2 packs, 5 frames", "held-out: 0 packs, 0 frames", "test: 1 packs, 2 frames"]
    assert done.stdout.splitlines() == counts
    made = {name: packs.parent / "regions" / name for name in FRAMES}
    for name, path in made.items():
        pack, source = read_pack(path), read_pack(packs / name)
        assert {pack.frame(place).shape for place in range(len(pack))} == {(256, 256, 3)}
        assert pack.meta == source.meta
        kept = np.linspace(0, len(source) - 1, len(pack)).round().astype(int)
        assert (pack.landmarks == source.landmarks[kept]).all()

    written = {name: path.stat().st_mtime_ns for name, path in made.items()}
    again = prepare(packs, 4)
    assert (again.returncode, again.stdout) == (0, done.stdout)
    other = prepare(packs, 3)
    assert other.returncode == 1 and other.stdout == ""
    error = other.stderr.splitlines()[-1]
    assert error.startswith("error [invalid_config]: ") and "other options (most_frames)" in error
    assert {name: path.stat().st_mtime_ns for name, path in made.items()} == written
