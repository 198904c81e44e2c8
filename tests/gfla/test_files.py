"""Files are there whole or not at all, and a full disk is said as such."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from gfla.errors import GflaError
from gfla.files import replacing, write_text

# In a process of its own: the limit is for whatever the process writes.
LITTLE_ROOM = """
import resource, signal, sys
from pathlib import Path
import torch
from gfla import checkpoint
from gfla.errors import GflaError
from gfla.files import replacing, write_text
from tests.helpers import small_generator

def with_torch(path):
    with path.open("wb") as file:
        torch.save({"weights": torch.zeros(5000)}, file)

generator = small_generator()
path = Path(sys.argv[1]) / "file"
write_text(path, "old")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (
    lambda path: path.write_text("x" * 5000),
    with_torch,
    lambda path: checkpoint.save(path, generator, {}),
):
    try:
        with replacing(path) as partial:
            write(partial)
    except GflaError as error:
        print(error.code, "cannot be written" in error.message)
"""


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LITTLE_ROOM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.stdout.splitlines() == ["disk_full True"] * 3, done.stderr
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
