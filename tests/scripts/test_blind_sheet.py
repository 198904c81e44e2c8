"""Blind sheets as a user makes, judges and opens them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from animator.files.output import write_whole
from animator.media.decode import read_image
from animator.media.sheet import WIDE, WIDTH
from tests.scripts.conftest import SCRIPTS

EDGE = 36
"""Pixels to the right of a sheet's pictures."""
NAMES = ("candidate-x", "candidate-y")
SMALL = ["--size", "128", "--seconds", "0.2", "--start", "0.6"]


@pytest.fixture
def portraits(samples: tuple[Path, Path], tmp_path: Path) -> list[str]:
    """The sample portrait and its mirror image."""
    mirrored = tmp_path / "mirrored.png"
    cv2.imwrite(str(mirrored), cv2.imread(str(samples[0]))[:, ::-1])
    return [str(samples[0]), str(mirrored)]


@pytest.fixture
def command(
    samples: tuple[Path, Path], small_weights: list[Path], portraits: list[str], tmp_path: Path
) -> list[str]:
    """Two pairs of two candidates."""
    given = [f"{name}={file}" for name, file in zip(NAMES, small_weights, strict=True)]
    named = [part for text in given for part in ("--candidate", text)]
    files = ["--portraits", *portraits, "--drivers", str(samples[1])]
    return ["make", str(tmp_path / "out"), *named, *files, "--pairs", "2", *SMALL]


def place_of(part: np.ndarray, page: np.ndarray) -> int:
    """The row of a page at which a part of it begins; fails if it is not there."""
    height, width = part.shape[:2]
    left = WIDTH - EDGE - WIDE
    column = page[:, left : left + width]
    starts = np.flatnonzero((column == part[0]).all((1, 2)))
    (top,) = (row for row in starts if np.array_equal(column[row : row + height], part))
    return int(top)


@pytest.mark.slow
def test_results_are_rendered_once_shown_blind_and_opened_when_judged(
    script: Callable[[str], Any],
    command: list[str],
    portraits: list[str],
    samples: tuple[Path, Path],
    small_weights: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blind, faces, pairs = map(script, ("blind_sheet", "face_results", "blind_pairs"))
    out = tmp_path / "out"

    # Stopped after the first result; the same command renders only the others.
    def interrupted(line: str) -> None:
        if line.startswith("result 1 of 4"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(faces, "say", interrupted)
        assert blind.main(command) == 130
    (first,) = (out / ".results").glob("*.mp4")
    written = first.stat().st_mtime_ns
    capsys.readouterr()
    assert blind.main(command) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "results: 4, of which 1 are there"
    assert [line.partition(":")[0] for line in lines[1:4]] == [f"result {n} of 3" for n in "123"]
    assert len(list((out / ".results").glob("*.mp4"))) == 4
    assert first.stat().st_mtime_ns == written

    # Nothing of what can be seen says which is which.
    seen = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert set(seen) == {"pair-01.png", "pair-02.png", "judgements.csv", "key.json"}
    told = " ".join([*map(str, seen), *os.listdir(out / ".results"), *lines]).encode()
    for content in (*seen.values(), told):
        assert not any(word in content for word in (b"candidate", b"model-", b"safetensors"))
    assert blind.main(["open", str(out)]) == 1
    shut = capsys.readouterr()
    assert shut.out == "" and "The key stays shut" in shut.err

    # The key is right: A stands above B, and each is the result of the candidate that it names.
    results = faces.FaceResults(out, 0.6, 0.2, 128)
    driver = results.driver(samples[1], 5)
    weights = {
        name: results.weights(str(file)) for name, file in zip(NAMES, small_weights, strict=True)
    }
    drawn = [pairs.Pair(*values) for values in pairs.read_key(out)["pairs"]]
    for number, pair in enumerate(drawn, 1):
        page = read_image(out / f"pair-{number:02}.png")
        portrait = results.portrait(Path(portraits[pair.portrait]))
        shown = [
            results.shown(faces.Job(weights[name], portrait, driver)) for name in (pair.a, pair.b)
        ]
        a, b = (place_of(faces.whole(one), page) for one in shown)
        assert 0 < place_of(faces.heads(driver.shown), page) < a < b
        closer = [faces.enlarged(shown[place], "mouth", "AB"[place]) for place in range(2)]
        assert b < place_of(closer[0], page) < place_of(closer[1], page)

    # Judged, it opens; made again, it keeps the judgements; another sheet is refused.
    best = ["A" if pair.a == NAMES[1] else "B" for pair in drawn]
    form = f"pair,better,remark\n1,{best[0]},teeth\n2,{best[1].lower()},\n"
    write_whole(out / "judgements.csv", form.encode())
    assert blind.main(command) == 0
    capsys.readouterr()
    assert blind.main(["open", str(out)]) == 0
    opened = capsys.readouterr().out
    assert f"| {NAMES[0]} | {NAMES[1]} | 0 | 2 | 0 | 0.500 |" in opened
    assert f"better {NAMES[1]}): teeth" in opened
    assert blind.main([*command, "--start", "0.5"]) == 1
    assert "error [other_run]: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (["--candidate", "none=/nowhere/x.safetensors"], "no_such_file", "/nowhere/x.safetensors"),
        (["--candidate", "cut=DAMAGED"], "weights_unreadable", "damaged.safetensors"),
        (["--candidate", "a b=default"], "invalid_option", "NAME=WEIGHTS"),
        (["--candidate", "candidate-x=default"], "invalid_option", "called 'candidate-x'"),
        (["--versus", "nobody"], "invalid_option", "--versus is 'nobody'"),
        (["--pairs", "3"], "invalid_option", "allowed is 1 to 2"),
        (["--size", "77"], "invalid_option", "size is 77"),
        (["--seconds", "0"], "invalid_option", "after the start"),
        (["--start", "100"], "no_frames", "driving.mp4"),
        (["--drivers", "FACELESS"], "no_face", "grey.mp4"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_rendered(
    script: Callable[[str], Any],
    command: list[str],
    faceless: tuple[Path, Path],
    small_weights: list[Path],
    change: list[str],
    code: str,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(small_weights[0].read_bytes()[:-1000])
    files = {"FACELESS": str(faceless[1]), "cut=DAMAGED": f"cut={damaged}"}
    change = [files.get(part, part) for part in change]
    assert script("blind_sheet").main([*command, *change]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error [{code}]: ") and words in line
    assert not (tmp_path / "out").exists()


def test_one_candidate_is_no_comparison_and_a_folder_no_sheet(tmp_path: Path) -> None:
    blind = [sys.executable, str(SCRIPTS / "blind_sheet.py")]
    one = [
        "make",
        "out",
        "--candidate",
        "new=default",
        "--portraits",
        "a.png",
        "--drivers",
        "b.mp4",
    ]
    for arguments, words in ((one, "two candidates or more"), (["open", "."], "no key.json")):
        done = subprocess.run([*blind, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == ""
        assert words in done.stderr and len(done.stderr.splitlines()) == 1
