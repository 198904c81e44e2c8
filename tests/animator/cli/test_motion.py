"""`animator motion`: a motion is saved, told of and drawn; mistakes are sentences."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from animator.animation.motion.file import read_motion
from animator.cli import app
from animator.media.decode import VideoReader
from tests.animator.media_files import write_video
from tests.animator.motions import moving, write_motion


@pytest.fixture(autouse=True)
def here(tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def animator(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["motion", *arguments])


def failure(*arguments: str) -> str:
    """The code that a command fails with."""
    done = animator(*arguments)
    assert done.exit_code == 1 and "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error [")]
    return line.removeprefix("error [").partition("]")[0]


@pytest.fixture(scope="module")
def clip(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The beginning of the sample video."""
    path = tmp_path_factory.mktemp("clip") / "smile [1].mp4"
    with VideoReader(samples[1]) as reader:
        pictures = [picture for batch in itertools.islice(reader, 1) for picture in batch.pixels]
    pts = [512 * number for number in range(6)]
    size = pictures[0].shape[1], pictures[0].shape[0]
    return write_video(path, pts, Fraction(1, 12800), pictures=pictures[:6], size=size)


@pytest.mark.slow
def test_a_motion_is_saved_beside_the_user(clip: Path, here: Path) -> None:
    done = animator("save", str(clip), "--licence", "CC0-1.0", "--consent", "written, 2026")
    assert done.exit_code == 0, done.stderr
    path = here / "smile [1].motion"
    assert done.stdout == f"{path}\n" and "6 frames" in done.stderr
    assert "note:" not in done.stderr
    motion = read_motion(path)
    assert motion.origin.name == clip.name and motion.rights.consent == "written, 2026"
    # Once more: it is not replaced, unless that is asked for.
    assert failure("save", str(clip)) == "output_exists"
    again = animator("save", str(clip), "--force", "--end", "0.1", "--face", "1", "--json")
    told = json.loads(again.stdout)
    assert (told["frames"], told["output"]) == (3, str(path))
    assert told["origin"]["end"] == "1/10" and told["origin"]["face"] == "1"
    assert told["bytes"] == path.stat().st_size


def test_what_cannot_be_saved_is_refused_at_once(here: Path) -> None:
    motion = write_motion(here / "a.motion")
    content = motion.read_bytes()
    (here / "folder.motion").mkdir()
    assert failure("save", "nothing.mp4") == "no_such_file"
    assert failure("save", "a.motion", "-o", "a.motion", "--force") == "invalid_option"
    assert failure("save", "a.motion", "-o", "b.mp4") == "invalid_option"
    assert failure("save", "a.motion", "-o", "folder.motion") == "output_exists_as_folder"
    assert failure("save", "a.motion", "-o", "no/b.motion") == "output_not_writable"
    assert failure("save", "a.motion", "-o", "s3://bucket/b.motion") == "invalid_option"
    assert failure("save", "https://example.com/a.mp4") == "invalid_option"
    assert failure("save", "a.motion", "-o", "b.motion", "--face", "0") == "invalid_option"
    assert failure("save", "a.motion", "-o", "b.motion", "--start", "later") == "invalid_option"
    assert failure("save", "a.motion", "-o", "b.motion", "--note", "x" * 3000) == "invalid_option"
    assert failure("save", "a.motion", "-o", "b.motion", "--start", "50") == "no_frames"
    assert motion.read_bytes() == content and not (here / "b.motion").exists()


def test_a_part_of_a_motion_file_is_saved(here: Path) -> None:
    driving = replace(moving(50, range(30, 34), (40,)), faces=2, faults=("A frame is lacking.",))
    write_motion(here / "a.motion", driving, licence="CC0")
    done = animator("save", "a.motion", "-o", "b.motion", "--start", "1", "--note", "the end")
    assert done.exit_code == 0, done.stderr
    part = read_motion(here / "b.motion")
    assert len(part.driving.pts) == 25
    assert (part.rights.licence, part.rights.note) == ("CC0", "the end")
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert [note.split()[1:4] for note in notes] == [
        ["The", "video", "shows"], ["4", "frames", "show"], ["The", "driving", "video"],
        ["A", "frame", "is"],
    ]  # fmt: skip


def test_a_motion_is_told_of(here: Path) -> None:
    driving = replace(moving(50, range(20, 25), (30,)), faults=("A frame is lacking.",))
    write_motion(here / "a.motion", driving, consent="asked\x1b[2J twice")
    done = animator("show", "a.motion")
    assert done.exit_code == 0, done.stderr
    for words in ("50 frames at 25 a second", "face in 45 of 50", "1 cut", "clip.mp4", "face 2",
                  "dlib: one", "A frame is lacking.", "licence: nothing was said",
                  "consent: asked\\x1b[2J twice", "roll", "mouth"):  # fmt: skip
        assert words in done.stdout, words
    assert "\x1b" not in done.stdout
    told: dict[str, Any] = json.loads(animator("show", "a.motion", "--json").stdout)
    assert told["missing"] == [[20, 24]] and told["cuts"] == [30]
    assert (told["frames"], told["with_face"], told["rate"]) == (50, 45, 25.0)
    assert told["rights"]["consent"] == "asked\x1b[2J twice" and told["format"] == 1
    assert told["angles"]["roll"][0] < told["angles"]["roll"][1]
    assert 0 <= told["openings"]["mouth"][0] < told["openings"]["mouth"][1] < 2


@pytest.mark.parametrize("driving", [moving(200, range(60, 90), (120,)), moving(1)],
                         ids=["long", "one frame"])  # fmt: skip
def test_a_motion_is_drawn(here: Path, driving: Any) -> None:
    write_motion(here / "a.motion", driving, note="name \u0436 \x07")
    done = animator("show", "a.motion", "-o", "sheet.png")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(here / "sheet.png")
    sheet = np.asarray(Image.open(here / "sheet.png"))
    assert sheet.shape[1] > 1200 and sheet.shape[0] > 900 and sheet.std() > 10
    assert failure("show", "a.motion", "-o", "sheet.png") == "output_exists"
    assert animator("show", "a.motion", "-o", "sheet.png", "--force").exit_code == 0


def test_what_cannot_be_shown_is_a_sentence(here: Path) -> None:
    motion = write_motion(here / "a.motion")
    (here / "b.motion").write_bytes(motion.read_bytes()[:-9])
    (here / "c.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(99))
    assert failure("show", "b.motion") == failure("show", "c.mp4") == "unreadable_motion"
    assert failure("show", "nothing.motion") == "no_such_file"
    assert failure("show", ".") == "not_a_file"
    assert failure("show", "a.motion", "-o", "sheet.pdf") == "invalid_option"
    assert failure("show", "a.motion", "-o", "no/sheet.png") == "output_not_writable"
    (here / "b.motion").write_bytes(motion.read_bytes()[:-9])
    answer = animator("show", "b.motion", "--json")
    assert json.loads(answer.stdout)["error"]["code"] == "unreadable_motion"


@pytest.mark.slow
def test_telling_of_a_motion_loads_no_networks(here: Path) -> None:
    write_motion(here / "a.motion")
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom animator.cli import app\n"
        "done = CliRunner().invoke(app, ['motion', 'show', 'a.motion'])\n"
        "print(done.exit_code, [name for name in ('torch', 'av', 'celery') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=here)
    assert done.stdout == "0 []\n", done.stderr
