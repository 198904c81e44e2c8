from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

from gfla.data.pairs import PersonPairs
from tests.gfla.person_files import write_picture, write_tables


@pytest.mark.parametrize("script", ["prepare_fashion", "prepare_market"])
def test_the_scripts(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a.jpg", "b.jpg"]
    for seed, name in enumerate(names):
        write_picture(tmp_path / "pictures" / "train" / name, (128, 64), seed)
    path = str(Path(__file__).parents[4] / "scripts" / f"{script}.py")
    arguments = [path, "pictures", "tables", "out", "--workers", "1"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match=r"error \[invalid_data\].*annotation-train"):
        runpy.run_path(path, run_name="__main__")
    write_tables(tmp_path / "tables", "train", names, (128, 64), [(names[0], names[1])])
    runpy.run_path(path, run_name="__main__")
    assert "1 pairs of train" in capsys.readouterr().out
    assert len(PersonPairs(tmp_path / "out" / "train", (128, 64))) == 1
