"""The scripts themselves: their arguments reach the library, and mistakes end in one sentence."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[2] / "scripts"


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    runpy.run_path(str(SCRIPTS / name), run_name="__main__")


@pytest.mark.parametrize("name", ["prepare_clips.py", "prepare_shapenet.py"])
def test_help_says_what_goes_in_and_out(name, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        run(name, "--help", monkeypatch=monkeypatch)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "OUT/report.txt" in shown and "--workers" in shown


def test_missing_shapenet_files_are_named(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"\[no_data\].*data_chair\.hdf5"):
        run(
            "prepare_shapenet.py",
            *(str(tmp_path), str(tmp_path / "out"), "--category", "chair"),
            monkeypatch=monkeypatch,
        )


def test_clips_are_packed_with_the_options_given(samples, tmp_path, monkeypatch, capsys):
    (tmp_path / "MANIFEST.csv").write_text(
        f"path,kind,identity,license\n{samples[0].name},portrait,a,MIT\n"
    )
    (tmp_path / samples[0].name).write_bytes(samples[0].read_bytes())
    arguments = str(tmp_path / "MANIFEST.csv"), str(tmp_path / "out"), "--workers", "1"
    regions = "--regions", str(tmp_path / "regions")
    run("prepare_clips.py", *arguments, "--smallest-face", "50", *regions, monkeypatch=monkeypatch)
    assert [path.name for path in tmp_path.glob("regions/train/*.npz")] == [
        path.name for path in tmp_path.glob("out/train/*.npz")
    ]
    assert "1 train: packs" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"\[invalid_config\].*other options"):
        run("prepare_clips.py", *arguments, "--smallest-face", "60", monkeypatch=monkeypatch)
    with pytest.raises(SystemExit, match=r"\[no_data\]"):
        run("prepare_clips.py", str(tmp_path / "none.csv"), "out", monkeypatch=monkeypatch)
