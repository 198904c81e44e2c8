"""Inputs that somebody changes while a job reads them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from animator.errors import AnimatorError, LeaseLost
from animator.files.local import content_hash
from animator.files.unchanged import Stamp, Unchanged, check_unchanged, unchanged

HOUR = 3600 * 10**9


@pytest.fixture(params=["settled", "fresh"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Unchanged:
    """A hashed file, written long ago or just now."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old content")
    if request.param == "settled":
        os.utime(path, ns=(0, time.time_ns() - HOUR))
    stamp = Stamp.of(path)
    assert stamp.settled is (request.param == "settled")
    return Unchanged(str(path), stamp, content_hash(path))


def changed(file: Unchanged) -> bool:
    try:
        file.check()
    except AnimatorError as error:
        assert (error.code, error.retryable) == ("input_changed", True)
        assert repr(file.path) in error.message
        return True
    return False


def test_a_file_that_stays(file: Unchanged) -> None:
    assert not changed(file) and not changed(file)


def test_a_file_that_is_replaced_by_one_like_it(file: Unchanged) -> None:
    path, new = Path(file.path), Path(file.path + ".new")
    new.write_bytes(b"new content")
    shutil.copystat(path, new)  # even its times are the same
    os.replace(new, path)
    assert changed(file)


def test_a_file_that_is_overwritten(file: Unchanged) -> None:
    times = os.stat(file.path).st_mtime_ns
    with open(file.path, "r+b") as content:
        content.write(b"new")
    os.utime(file.path, ns=(0, times))
    assert changed(file)


def test_a_file_that_grows(file: Unchanged) -> None:
    with open(file.path, "ab") as content:
        content.write(b"more")
    assert changed(file)


def test_a_file_that_is_removed_or_is_none_any_more(file: Unchanged) -> None:
    os.unlink(file.path)
    assert changed(file)
    os.mkdir(file.path)
    assert changed(file)


def test_a_file_that_was_another_in_between(file: Unchanged) -> None:
    path = Path(file.path)
    path.write_bytes(b"new content")
    os.utime(path, ns=(0, time.time_ns() - 2 * HOUR))
    path.write_bytes(b"old content")
    os.utime(path, ns=(0, time.time_ns() - 3 * HOUR))
    assert changed(file)


def test_rights_and_names_are_no_content(file: Unchanged) -> None:
    os.chmod(file.path, 0o600)
    os.link(file.path, file.path + ".backup")
    assert not changed(file)


def test_numbers_that_a_file_system_makes_up_anew(file: Unchanged) -> None:
    file.before = Stamp(file.before.size, file.before.modified, (1, 2, 3), True)
    assert not changed(file)


def test_errors_are_laid_to_the_change_if_there_was_one(file: Unchanged) -> None:
    with pytest.raises(ValueError, match="its own"), unchanged((file,)):
        raise ValueError("its own")
    Path(file.path).write_bytes(b"something else")
    with pytest.raises(AnimatorError) as caught, unchanged((file,)):
        raise ValueError("frames are lacking")
    assert caught.value.code == "input_changed"
    assert "lacking" in str(caught.value.__context__ or caught.value.__cause__)
    with pytest.raises(LeaseLost), unchanged((file,)):
        raise LeaseLost("another's")
    with pytest.raises(AnimatorError), unchanged((file,)):
        pass
    with pytest.raises(AnimatorError):
        check_unchanged((file,))
