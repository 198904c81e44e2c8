"""Folders and patterns of pictures that stand for a video."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.files.local import check_input, content_hash
from animator.files.sequence import is_sequence, pictures_of
from animator.files.unchanged import Stamp, Unchanged
from animator.settings import DEFAULT_LIMITS


def make(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def names(path: Path) -> list[str]:
    return [picture.name for picture in pictures_of(path)]


def test_a_folders_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    make(tmp_path, "f10.png", "f9.PNG", "f100.jpg", "notes.txt", ".hidden.png", "g1.webp")
    (tmp_path / "f5.png").mkdir()
    assert is_sequence(tmp_path)
    assert names(tmp_path) == ["f9.PNG", "f10.png", "f100.jpg", "g1.webp"]


def test_a_pattern_takes_what_it_names(tmp_path: Path) -> None:
    make(tmp_path, "f-0007.png", "f-0008.png", "f-12345.png", "f-9.png", "g-0009.png")
    (tmp_path / "f-12345.png").unlink()
    assert names(tmp_path / "f-%04d.png") == ["f-0007.png", "f-0008.png"]
    assert names(tmp_path / "f-%d.png") == ["f-0007.png", "f-0008.png", "f-9.png"]


def test_a_file_that_is_called_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    make(tmp_path, "f-%04d.mp4")
    assert not is_sequence(tmp_path / "f-%04d.mp4")


@pytest.mark.parametrize(
    ("files", "asked", "code"),
    [
        ([], "", "no_frames"),
        (["a.txt"], "", "no_frames"),
        (["f1.png"], "g%d.png", "no_frames"),
        (["f1.png", "f3.png"], "f%d.png", "no_such_file"),
        (["f1.png", "f01.png"], "f%d.png", "unreadable_video"),
        ([], "nowhere/%d.png", "no_such_file"),
    ],
)
def test_what_is_no_sequence(files: list[str], asked: str, code: str, tmp_path: Path) -> None:
    make(tmp_path, *files)
    with pytest.raises(AnimatorError) as caught:
        pictures_of(tmp_path / asked)
    assert caught.value.code == code
    with pytest.raises(AnimatorError):
        check_input(str(tmp_path / asked), pictures=True)


def test_a_gap_names_the_numbers(tmp_path: Path) -> None:
    make(tmp_path, "f1.png", "f2.png", "f5.png")
    with pytest.raises(AnimatorError, match="after number 2 comes 5"):
        pictures_of(tmp_path / "f%d.png")


def test_too_many_are_refused(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}.png" for number in range(9)))
    with pytest.raises(AnimatorError) as caught:
        pictures_of(tmp_path, replace(DEFAULT_LIMITS, max_frames=8))
    assert caught.value.code == "too_long"


def test_a_folder_is_an_input_only_where_pictures_will_do(tmp_path: Path) -> None:
    make(tmp_path, "1.png")
    check_input(str(tmp_path), pictures=True)
    with pytest.raises(AnimatorError) as caught:
        check_input(str(tmp_path))
    assert caught.value.code == "not_a_file"


def test_the_hash_is_of_all_pictures_and_their_order(tmp_path: Path) -> None:
    a, b = make(tmp_path / "a", "1.png", "2.png"), make(tmp_path / "b", "1.png", "2.png")
    assert content_hash(a) == content_hash(b) == content_hash(a / "%d.png")
    (b / "1.png").rename(b / "3.png")
    assert content_hash(a) != content_hash(b)


@pytest.mark.parametrize("change", ["content", "more", "fewer", "swapped"])
def test_a_change_of_any_picture_shows(change: str, tmp_path: Path) -> None:
    make(tmp_path, "1.png", "2.png")
    for path in tmp_path.iterdir():
        os.utime(path, (1e9, 1e9))
    file = Unchanged(str(tmp_path), Stamp.of(tmp_path), content_hash(tmp_path))
    file.check()
    if change == "content":
        (tmp_path / "1.png").write_bytes(b"other")
    elif change == "more":
        make(tmp_path, "3.png")
    elif change == "fewer":
        (tmp_path / "2.png").unlink()
    else:
        (tmp_path / "1.png").rename(tmp_path / "x")
        (tmp_path / "2.png").rename(tmp_path / "1.png")
        (tmp_path / "x").rename(tmp_path / "2.png")
    with pytest.raises(AnimatorError) as caught:
        file.check()
    assert caught.value.code == "input_changed"
