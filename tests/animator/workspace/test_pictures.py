"""Results that are pictures one by one: whole folders, and names by a pattern."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.files.output import check_result
from animator.jobs.preflight import check_files
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace

JOB = "0123abcd"
NAMES = ["00000.png", "00001.png", "00002.png"]


def made(output: Path | str, names: list[str], attempt: int = 1, **options: bool) -> Workspace:
    workspace = Workspace.take(output, JOB, attempt, **options)
    folder = workspace.path / "pictures"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return workspace


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.mark.parametrize("there", ["nothing", "an empty folder"])
@pytest.mark.parametrize("replaces", [True, False])
def test_a_folder_appears_as_a_whole(there: str, replaces: bool, tmp_path: Path) -> None:
    output = tmp_path / "out"
    if there != "nothing":
        output.mkdir()
    workspace = made(output, NAMES, replaces=replaces)
    workspace.publish("pictures")
    workspace.remove()
    assert listed(output) == NAMES
    assert stat.S_IMODE(output.stat().st_mode) & 0o500 == 0o500
    usual = tmp_path / "usual"
    usual.mkdir()
    assert output.stat().st_mode == usual.stat().st_mode
    assert sorted(os.listdir(tmp_path)) == ["out", "usual"]


def test_a_folder_of_pictures_is_replaced_where_that_is_wanted(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "00007.png").write_bytes(b"old")
    refused = made(output, NAMES, replaces=False)
    with pytest.raises(AnimatorError) as caught:
        refused.publish("pictures")
    assert caught.value.code == "output_exists"
    assert listed(output) == ["00007.png"]
    refused.remove()
    workspace = made(output, NAMES)
    workspace.publish("pictures")
    workspace.remove()
    assert listed(output) == NAMES
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("other", ["holiday.png", "notes.txt", ".git", "1.png"])
def test_a_folder_of_anything_else_is_never_replaced(other: str, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / other).write_bytes(b"mine")
    (output / "00000.png").write_bytes(b"old")
    with pytest.raises(AnimatorError) as caught:
        check_result(f"{output}/")
    assert caught.value.code == "output_exists_as_folder"
    with pytest.raises(AnimatorError) as caught:
        made(output, NAMES).publish("pictures")
    assert caught.value.code == "output_exists_as_folder"
    assert (output / other).read_bytes() == b"mine"
    assert (output / "00000.png").read_bytes() == b"old"


@pytest.mark.parametrize("output", ["out", "f-%05d.png"])
def test_what_an_attempt_before_published_is_the_jobs_own(output: str, tmp_path: Path) -> None:
    """It died before it could say so; the next one puts its own in that place."""
    names = [name if output == "out" else f"f-{name}" for name in NAMES]
    made(tmp_path / output, names, 1, replaces=False).publish("pictures")
    second = made(tmp_path / output, names, 2, replaces=False)
    second.publish("pictures")
    second.remove()
    folder = tmp_path / "out" if output == "out" else tmp_path
    assert listed(folder) == names


def test_by_a_pattern_older_ones_go(tmp_path: Path) -> None:
    for name in ("f-00007.png", "f-00001.png", "g-00007.png", "f-7.png"):
        (tmp_path / name).write_bytes(b"old")
    output = tmp_path / "f-%05d.png"
    names = [f"f-{name}" for name in NAMES]
    refused = made(output, names, replaces=False)
    with pytest.raises(AnimatorError) as caught:
        refused.publish("pictures")
    assert caught.value.code == "output_exists"
    refused.remove()
    workspace = made(output, names)
    workspace.publish("pictures")
    workspace.remove()
    assert listed(tmp_path) == sorted([*names, "f-7.png", "g-00007.png"])
    assert (tmp_path / "f-00001.png").read_bytes() != b"old"


@pytest.mark.parametrize("output", ["out", "f-%05d.png"])
def test_pictures_go_beside_what_appeared(output: str, tmp_path: Path) -> None:
    place = made(tmp_path / output, NAMES).publish_beside("pictures")
    assert place == tmp_path / ("out-1" if output == "out" else "f--1")
    assert listed(place) == NAMES
    assert made(tmp_path / output, NAMES, 2).publish_beside("pictures").name.endswith("-2")


def test_a_video_that_is_called_like_a_pattern_is_a_video(tmp_path: Path) -> None:
    (tmp_path / "a-3.mp4").write_bytes(b"another")
    workspace = Workspace.take(tmp_path / "a-%d.mp4", JOB, 1, replaces=False)
    workspace.write("video.mp4", b"video")
    workspace.publish("video.mp4")
    workspace.remove()
    assert listed(tmp_path) == ["a-%d.mp4", "a-3.mp4"]


def test_starting_anew_leaves_no_pictures(tmp_path: Path) -> None:
    workspace = made(tmp_path / "out", NAMES)
    workspace.clear()
    assert os.listdir(workspace.path) == []


# -- before work starts ------------------------------------------------------------------------


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("ANIMATOR_STATE_DIR", str(tmp_path / "state"))
    for name in ("a.png", "b.mp4"):
        (tmp_path / name).write_bytes(b"x")
    return {"source": str(tmp_path / "a.png"), "driving": str(tmp_path / "b.mp4")}


def preflight(inputs: dict[str, str], output: str, **options: bool) -> str:
    """The code of what is wrong; empty if nothing is."""
    try:
        check_files(JobSpec(**inputs, output=output), Settings.from_environment(), **options)
    except AnimatorError as error:
        return error.code
    return ""


def test_what_a_job_may_write(inputs: dict[str, str], tmp_path: Path) -> None:
    full, other, empty = tmp_path / "full", tmp_path / "other", tmp_path / "empty"
    for folder in (full, other, empty):
        folder.mkdir()
    (full / "00000.png").write_bytes(b"")
    (other / "x.txt").write_bytes(b"")
    (tmp_path / "f-001.png").write_bytes(b"")
    for output, code, forced in (
        (f"{tmp_path}/new/", "", ""),
        (f"{empty}/", "", ""),
        (f"{full}/", "output_exists", ""),
        (f"{other}/", "output_exists_as_folder", "output_exists_as_folder"),
        (f"{tmp_path}/a.png/", "output_not_writable", "output_not_writable"),
        (f"{tmp_path}/no/new/", "output_not_writable", "output_not_writable"),
        (f"{tmp_path}/g-%03d.png", "", ""),
        (f"{tmp_path}/f-%03d.png", "output_exists", ""),
        (f"{tmp_path}/no/f-%03d.png", "output_not_writable", "output_not_writable"),
        (f"{full}", "output_exists_as_folder", "output_exists_as_folder"),
        (f"{tmp_path}/b.avi", "invalid_option", "invalid_option"),
        ("s3://bucket/f-%03d.png", "invalid_option", "invalid_option"),
        (f"{tmp_path}/b.gif", "", ""),
    ):
        assert preflight(inputs, output) == code, output
        assert preflight(inputs, output, overwrite=True) == forced, output


def test_pictures_never_replace_those_that_they_are_made_of(
    inputs: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "drive"
    folder.mkdir()
    for name in ("00000.png", "00001.png"):
        (folder / name).write_bytes(b"x")
    for driving in (f"{folder}", f"{folder}/", f"{folder}/%05d.png", f"{folder}/00000.png"):
        given = {**inputs, "driving": driving}
        for output in (f"{folder}/", f"{folder}/%05d.png"):
            assert preflight(given, output, overwrite=True) == "invalid_option", (driving, output)
        assert preflight(given, f"{folder}/g-%05d.png", overwrite=True) == ""


def test_sound_and_folders_are_looked_for(inputs: dict[str, str], tmp_path: Path) -> None:
    output = str(tmp_path / "o.mp4")
    (tmp_path / "drive").mkdir()
    assert preflight({**inputs, "driving": f"{tmp_path}/drive"}, output) == "no_frames"
    (tmp_path / "drive" / "1.png").write_bytes(b"x")
    assert preflight({**inputs, "driving": f"{tmp_path}/drive"}, output) == ""
    assert preflight({**inputs, "audio": f"{tmp_path}/no.wav"}, output) == "no_such_file"
    assert preflight({**inputs, "audio": f"{tmp_path}/drive"}, output) == "not_a_file"
    assert preflight({**inputs, "audio": f"{tmp_path}/b.mp4"}, str(tmp_path / "b.mp4")) in (
        "invalid_option",
    )
