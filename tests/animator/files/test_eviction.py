"""Folders that are kept below a size, and files in them that are in use."""

from __future__ import annotations

import fcntl
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from animator.files.eviction import Room, evict, hold, remove_unused


def test_a_full_folder_is_looked_through_now_and_then(tmp_path: Path) -> None:
    room, most, looked = Room(tmp_path), 100 * 8192, 0
    for number in range(300):
        (tmp_path / str(number)).write_bytes(bytes(10))  # which take 8192, with the name
        os.utime(tmp_path / str(number), (number, number))
        looked += room.added(10, most)
        names = sorted(int(name) for name in os.listdir(tmp_path))
        assert len(names) <= 100 and names == list(range(names[0], number + 1))
    assert 2 < looked <= 300 / 1.5


@pytest.mark.parametrize("replaced", [False, True])
def test_who_waited_for_a_file_that_is_gone_has_nothing(tmp_path: Path, replaced: bool) -> None:
    path, waiting = tmp_path / "a", threading.Event()
    path.write_bytes(b"1")
    with open(path, "rb") as other, ThreadPoolExecutor(1) as pool:
        fcntl.flock(other, fcntl.LOCK_EX)
        found = pool.submit(hold, path, waiting.set)
        assert waiting.wait(60)
        path.unlink()
        if replaced:
            path.write_bytes(b"2")
        fcntl.flock(other, fcntl.LOCK_UN)
        assert found.result() is None


def test_a_lock_is_of_the_file_and_not_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    held = hold(path)
    assert held is not None
    assert not remove_unused(path)
    (tmp_path / "b").write_bytes(b"2")
    os.replace(tmp_path / "b", path)
    assert remove_unused(path)
    assert hold(path) is None
    assert remove_unused(path)
    assert held.read() == b"1"
    held.close()
    assert evict(tmp_path / "none", 0) == 0


def test_as_much_is_removed_as_has_to_be(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"{number % 2}" / str(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(100))
        os.utime(path, (0, [30, 10, 50, 20, 40][number]))
    assert evict(tmp_path, 5 * 8192) == 0
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 5
    assert evict(tmp_path, 4 * 8192 - 1) == 2
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["0", "2", "4"]
