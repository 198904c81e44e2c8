"""What of this user's files others may read: the published ones, as the umask says."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.files.cache import InputCache
from animator.files.output import OutputFile, replacing, write_whole
from animator.files.private import close_state_folder, ordinary_mode, private_folder
from animator.files.storage import Storage
from animator.settings import Settings
from animator.values import Location
from animator.workspace.attempt import Workspace
from animator.workspace.staging import open_output


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_an_output_is_private_until_it_has_its_name(tmp_path: Path, umask: int) -> None:
    file = OutputFile(tmp_path / "out.mp4")
    file.write(b"frames")
    assert [mode(path) for path in tmp_path.iterdir()] == [0o600]
    file.publish()
    assert mode(tmp_path / "out.mp4") == 0o666 & ~umask
    write_whole(tmp_path / "whole", b"")
    assert mode(tmp_path / "whole") == 0o666 & ~umask
    write_whole(tmp_path / "mine", b"", private=True)
    assert mode(tmp_path / "mine") == 0o600
    with replacing(tmp_path / "replaced") as part:
        part.write_bytes(b"content")
        assert mode(part) == 0o600
    assert mode(tmp_path / "replaced") == 0o666 & ~umask


def test_the_umask_is_read_without_a_moment_of_another_one(umask: int) -> None:
    stop, seen = threading.Event(), set()

    def watch() -> None:
        while not stop.is_set():
            seen.add(ordinary_mode(0o777))

    thread = threading.Thread(target=watch)
    thread.start()
    for _ in range(200):
        assert ordinary_mode() == 0o666 & ~umask
    stop.set()
    thread.join()
    assert seen <= {0o777 & ~umask}


def test_segments_lie_where_nobody_else_may_go_and_the_video_does_not(tmp_path: Path) -> None:
    workspace = Workspace.take(tmp_path / "out.mp4", "job", 1)
    workspace.write("video.mp4", b"frames")
    assert mode(workspace.path) == mode(workspace.path.parent) == 0o700
    workspace.publish("video.mp4")
    assert mode(tmp_path / "out.mp4") == ordinary_mode()


def test_all_that_is_made_in_a_state_folder_is_closed(tmp_path: Path, umask: int) -> None:
    state = tmp_path / "new" / "state"
    settings = Settings(state, allowed_urls=("memory://out",))
    open_output(Location("memory://out/private.mp4"), "job", settings)
    Storage.open(str(settings.cache_dir), settings).write("landmarks/ab/x.npz", b"points")
    Storage.open(str(settings.cache_dir), settings).put("copy", state / "cache/landmarks/ab/x.npz")
    private_folder(settings.log_dir)
    inputs = InputCache(settings)
    with pytest.raises(AnimatorError), inputs.held("memory://out/none.mp4", lambda: None):
        pass
    made = list(state.rglob("*"))
    assert len(made) > 9
    assert {mode(path) for path in (state, *made) if path.is_dir()} == {0o700}
    assert {mode(path) for path in made if path.is_file()} == {0o600}


def test_what_machines_share_keeps_the_usual_modes(tmp_path: Path, umask: int) -> None:
    settings = Settings(tmp_path / "state", storage=str(tmp_path / "shared"))
    storage = Storage.open(str(tmp_path / "shared"), settings)
    storage.write("landmarks/ab/x.npz", b"points")
    assert mode(tmp_path / "shared" / "landmarks" / "ab" / "x.npz") == 0o666 & ~umask
    assert mode(tmp_path / "shared" / "landmarks") == 0o777 & ~umask
    storage.close_folder("segments/job")
    assert mode(tmp_path / "shared" / "segments" / "job") == 0o700


def old_state(state: Path) -> Path:
    """A state folder as it was made before: its video lies open."""
    video = state / "outbox" / "ab" / "private.mp4"
    video.parent.mkdir(parents=True)
    (state / "cache" / "landmarks").mkdir(parents=True)
    video.write_bytes(b"frames")
    video.chmod(0o644)
    for path in (state, *state.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    return video


def test_an_old_state_folder_is_closed(tmp_path: Path) -> None:
    video = old_state(tmp_path / "state")
    close_state_folder(tmp_path / "state")
    assert mode(video) == 0o600
    folders = [path for path in (tmp_path / "state").rglob("*") if path.is_dir()]
    assert {mode(path) for path in (tmp_path / "state", *folders)} == {0o700}


def test_a_folder_that_has_other_things_keeps_its_mode_and_theirs(tmp_path: Path) -> None:
    video = old_state(tmp_path / "home")
    other = tmp_path / "home" / "letters"
    other.mkdir()
    other.chmod(0o755)
    (tmp_path / "home" / "cache" / "link").symlink_to(other)
    close_state_folder(tmp_path / "home")
    assert mode(tmp_path / "home") == mode(other) == 0o755
    assert mode(video) == 0o600 and mode(tmp_path / "home" / "outbox") == 0o700


def test_no_state_folder_is_made_by_closing_it(tmp_path: Path) -> None:
    close_state_folder(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be two users")
def test_folders_of_others_are_left(tmp_path: Path) -> None:
    video = old_state(tmp_path / "state")
    os.chown(tmp_path / "state" / "outbox", 40002, 40002)
    close_state_folder(tmp_path / "state")
    assert mode(video.parents[1]) == 0o755


def test_a_file_where_the_folder_goes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private_folder(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        private_folder(tmp_path / "file" / "folder")
