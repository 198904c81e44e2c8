"""Files are there whole or not at all, and a full disk is said as such."""

from __future__ import annotations

import pickle
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gfla import checkpoint
from gfla.errors import GflaError
from gfla.files import replacing, write_text
from tests.helpers import small_generator


@pytest.fixture
def little_room() -> Iterator[None]:
    """No file of this process may pass 4 KiB."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def save_state(path: Path) -> None:
    with path.open("wb") as file:
        torch.save({"weights": torch.zeros(5000)}, file)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_text("x" * 5000),
        save_state,
        lambda path: checkpoint.save(path, small_generator(), {}),
    ],
    ids=["text", "torch", "safetensors"],
)
def test_a_full_disk_is_said_and_leaves_the_old_file(
    tmp_path: Path, little_room: None, write: Callable[[Path], object]
) -> None:
    write_text(tmp_path / "file", "old")
    with (
        pytest.raises(GflaError, match="cannot be written") as caught,
        replacing(tmp_path / "file") as partial,
    ):
        write(partial)
    assert caught.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_what_is_no_folder_cannot_be_written_into(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "old")
    with pytest.raises(GflaError) as caught:
        write_text(tmp_path / "file" / "below", "new")
    assert caught.value.code == "not_writable"


def test_other_mistakes_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "file") as partial:
        partial.write_text(str(1 / 0))
    # An image library says so of damaged input, which is not the disk's fault.
    with pytest.raises(OSError, match="truncated"), replacing(tmp_path / "file"):
        raise OSError("image file is truncated")
    assert not any(tmp_path.iterdir())


def test_errors_travel_between_processes() -> None:
    error = GflaError("disk_full", "There is no room.")
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.message, str(again)) == (error.code, error.message, str(error))
