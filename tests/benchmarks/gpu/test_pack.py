"""The folder that travels to a GPU machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def pack(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))

    def run(*arguments: str | Path) -> None:
        from gpu.pack import main

        monkeypatch.setattr(sys, "argv", ["gpu_pack", *map(str, arguments)])
        main()

    return run


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """Five packs to train on and two held out, of 100 to 500 kB."""
    folder = tmp_path / "prepared"
    for split, count in (("train", 5), ("held-out", 2)):
        (folder / split).mkdir(parents=True)
        for number in range(1, count + 1):
            (folder / split / f"{number}.npz").write_bytes(bytes(number * 100_000))
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_packs_take_the_room_that_is_left(pack, packs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    pack(folder, "--no-code", "--no-packages", "--packs", packs, "--most", "1.2")
    assert names(folder) == {"pack.json", "packs"}
    # Nine tenths of the room and one, the small ones first.
    assert names(folder / "packs" / "train") == {"1.npz", "2.npz", "3.npz", "4.npz"}
    assert names(folder / "packs" / "held-out") == {"1.npz"}
    assert json.loads((folder / "pack.json").read_text())["python"] == "3.12"


def test_too_much_is_refused_and_not_left_behind(pack, packs: Path, tmp_path: Path) -> None:
    features = tmp_path / "vgg16.safetensors"
    features.write_bytes(bytes(3_000_000))
    folder = tmp_path / "pack"
    with pytest.raises(SystemExit, match=r"^refused: 2\.9 MiB, more than 2 \(.*features.saf"):
        pack(folder, "--no-code", "--no-packages", "--features", features, "--most", "2")
    assert not folder.exists()


def test_a_folder_that_is_there_is_left_alone(pack, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "mine").touch()
    with pytest.raises(SystemExit, match="is there already"):
        pack(tmp_path / "pack", "--no-code", "--no-packages")
    assert names(tmp_path / "pack") == {"mine"}


def test_the_code_that_travels_is_whole_and_small(pack, tmp_path: Path) -> None:
    folder = tmp_path / "pack"
    pack(folder, "--no-packages")
    code = folder / "code"
    for name in ("scripts/gpu_check.sh", "animator/weights/default.safetensors", "pyproject.toml"):
        assert (code / name).read_bytes() == (ROOT / name).read_bytes()
    assert not (code / "docs").exists()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 24 * 2**20
