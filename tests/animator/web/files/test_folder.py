"""The server's folder, results and their stills."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.web.files import folder as module
from animator.web.files.folder import ResultFolder, write_private
from tests.animator.conftest import mounted_disk


@pytest.fixture
def results(tmp_path: Path) -> ResultFolder:
    return ResultFolder(tmp_path / "deep" / "server")


def test_the_folder_is_this_users_alone(results: ResultFolder, tmp_path: Path) -> None:
    for name in ("", "results", "stills"):
        mode = stat.S_IMODE((tmp_path / "deep" / "server" / name).stat().st_mode)
        assert mode == 0o700
    new = results.new("a.png")
    assert stat.S_IMODE(new.parent.stat().st_mode) == 0o700


def test_each_result_has_a_folder_of_its_own(results: ResultFolder) -> None:
    one, other = results.new("Zoë.png", "../dance.mp4"), results.new("Zoë.png", "../dance.mp4")
    assert one.name == other.name == "Zoe--dance.mp4" and one.parent != other.parent
    assert results.owns(one) and one.parent.is_dir() and not one.exists()


def test_only_results_are_owned_and_removed(results: ResultFolder, tmp_path: Path) -> None:
    result = results.new("a")
    result.write_bytes(b"video")
    result.with_suffix(".json").write_text("{}")
    other = tmp_path / "other.mp4"
    other.write_bytes(b"mine")
    link = result.with_name("link.mp4")
    link.symlink_to(other)
    for path in (
        other, link, result.parent, result.parent.parent / "x.mp4", Path("relative.mp4"),
        result.parent / ".." / ".." / ".." / "other.mp4", Path("a\0b"),
    ):  # fmt: skip
        assert not results.owns(path)
        results.remove(path)
    assert other.exists() and result.exists()
    results.remove(result)
    assert not result.parent.exists() and other.exists()


def test_a_still_is_made_once_for_a_content(results: ResultFolder) -> None:
    video, made = results.new("a"), []

    def make() -> bytes:
        made.append(1)
        return b"jpeg%d" % len(made)

    with pytest.raises(AnimatorError) as info:
        results.still(video, make)
    assert info.value.code == "no_result" and not made
    video.write_bytes(b"video")
    assert results.still(video, make) == results.still(video, make) == b"jpeg1"
    video.write_bytes(b"another video")
    assert results.still(video, make) == b"jpeg2"


def test_stills_are_kept_in_bounds(
    results: ResultFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STILLS_BYTES", 100_000)
    for number in range(20):
        video = results.new(f"{number}")
        video.write_bytes(b"video")
        results.still(video, lambda: bytes(9000))
    kept = list((tmp_path / "deep" / "server" / "stills").iterdir())
    assert 1 < len(kept) < 12


def test_results_without_a_job_are_swept_when_they_are_old(results: ResultFolder) -> None:
    known, gone, fresh = (results.new(name) for name in ("known", "gone", "fresh"))
    for path in (known, gone, fresh):
        path.write_bytes(b"video")
    old = time.time() - 8 * 86400
    for path in (known, gone):
        os.utime(path, (old, old))
        os.utime(path.parent, (old, old))
    assert results.sweep(lambda: pytest.fail("nothing is old"), 30) == 0
    assert results.sweep(lambda: [str(known)], 7) == 1
    assert known.exists() and fresh.exists() and not gone.parent.exists()


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 64) as disk:
        with pytest.raises(AnimatorError) as info:
            write_private(disk / "a.json", bytes(200_000))
        assert info.value.code == "disk_full" and info.value.retryable
        assert str(disk) not in info.value.message
        assert list(disk.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnimatorError) as info:
        ResultFolder(tmp_path / "file" / "server")
    assert info.value.code == "storage_unavailable"
