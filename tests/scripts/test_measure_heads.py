"""Region heads that are measured alone: what counts, in which rows, and what cannot be measured."""

from __future__ import annotations

import dataclasses
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gfla import checkpoint
from gfla.data.packs import write_pack
from gfla.data.region_packs import pack_regions
from tests.golden.faces import MEAN_FACE
from tests.helpers import COMPACT, small_generator

SCRIPT = Path(__file__).parents[2] / "scripts" / "measure_heads.py"
UPPER, LOWER = [61, 62, 63], [65, 66, 67]


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """Two people whose lips open wider from frame to frame."""
    random = np.random.default_rng(0)
    (tmp_path / "regions").mkdir()
    for name in ("a", "b"):
        moved = np.repeat(MEAN_FACE[None], 6, 0).astype(np.float32)
        for frame, points in enumerate(moved):
            points[UPPER, 1] -= 0.004 * frame
            points[LOWER, 1] += 0.004 * frame
        frames = list(random.integers(0, 256, (6, 128, 128, 3), np.uint8))
        write_pack(tmp_path / f"{name}.npz", frames, moved, {"identity": name})
        pack_regions(tmp_path / f"{name}.npz", tmp_path / "regions" / f"{name}.npz", 6)
    return tmp_path / "regions"


def weights(path: Path, *, draws: bool) -> Path:
    generator = small_generator(COMPACT)
    if not draws:
        with torch.no_grad():
            for parameter in generator.get_submodule("regions").parameters():
                parameter.zero_()
    checkpoint.save(path, generator, {"name": path.stem})
    return path


def measure(monkeypatch: pytest.MonkeyPatch, capsys, *arguments: object) -> list[list[str]]:
    monkeypatch.setattr(sys, "argv", ["measure_heads.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]


def test_rows_are_of_all_pairs_of_thirds_and_of_groups(packs, tmp_path, monkeypatch, capsys):
    groups = tmp_path / "groups.csv"
    groups.write_text("identity,group\na,glasses\n")
    arguments = packs, "--weights", f"new={weights(tmp_path / 'w.safetensors', draws=True)}"
    rows = measure(monkeypatch, capsys, *arguments, "--pairs", 8, "--groups", groups)
    titles = [row[0] for row in rows[2 : len(rows) // 2]]
    assert titles[:1] + titles[-1:] == ["all", "glasses"]
    everything, *thirds, glasses = rows[2 : len(rows) // 2]
    assert everything[1] == "2" and glasses[1] == "1"
    assert sum(int(row[2]) for row in thirds) == int(everything[2]) <= 16
    assert "[" in everything[3] and "[" not in glasses[3]


def test_a_head_that_draws_nothing_leaves_the_spline_s_error(packs, tmp_path, monkeypatch, capsys):
    path = weights(tmp_path / "w.safetensors", draws=False)
    rows = measure(monkeypatch, capsys, packs, "--weights", path, "--pairs", 4)
    assert [row[3] for row in rows if row[0] == "all"] == ["1.00 [1.00, 1.00]"] * 2


def test_what_cannot_be_measured_is_told(packs, tmp_path, monkeypatch, capsys):
    path = weights(tmp_path / "w.safetensors", draws=True)
    with pytest.raises(SystemExit, match="no clips in"):
        measure(monkeypatch, capsys, tmp_path / "nowhere", "--weights", path)
    headless = tmp_path / "headless.safetensors"
    bare = dataclasses.replace(COMPACT, mouth_head=(), eye_head=())
    checkpoint.save(headless, small_generator(bare), {"name": "headless"})
    with pytest.raises(SystemExit, match="has no region heads"):
        measure(monkeypatch, capsys, packs, "--weights", headless)
