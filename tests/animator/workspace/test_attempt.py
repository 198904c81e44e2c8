"""The folder of an attempt: taken over whole, and of no use to whom it was taken from."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from animator.errors import AnimatorError, AttemptRepeated, LeaseLost
from animator.workspace import attempt as attempt_module
from animator.workspace.attempt import Workspace

JOB = "0123abcd"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def test_what_is_finished_goes_to_the_next_attempt(output: Path, tmp_path: Path) -> None:
    first = Workspace.take(output, JOB, 1)
    first.write("00000.mp4", b"video")
    first.write("plan.npz", b"plan")
    (first.path / ".00001.mp4.abcd.part").write_bytes(b"begun")
    (first.path / "video.mp4").write_bytes(b"joined, perhaps")
    second = Workspace.take(output, JOB, 3)
    assert sorted(os.listdir(second.path)) == ["00000.mp4", "plan.npz"]
    assert (second.path / "00000.mp4").read_bytes() == b"video"
    assert not first.path.exists()
    second.remove()
    assert os.listdir(tmp_path) == []


def test_a_late_twin_can_neither_add_nor_publish_nor_remove(output: Path) -> None:
    late = Workspace.take(output, JOB, 1)
    late.write("video.mp4", b"its video")
    taken = Workspace.take(output, JOB, 2)
    taken.write("00000.mp4", b"a segment")
    for action in (
        lambda: late.write("00000.mp4", b"another"),
        lambda: late.publish("video.mp4"),
        lambda: late.clear(),
        lambda: Workspace.take(output, JOB, 1),
    ):
        with pytest.raises(LeaseLost):
            action()
    late.remove()
    assert (taken.path / "00000.mp4").read_bytes() == b"a segment"
    assert not output.exists()
    taken.write("video.mp4", b"the video")
    taken.publish("video.mp4")
    assert output.read_bytes() == b"the video"


def test_an_attempt_that_was_there_before_is_another_ones(output: Path) -> None:
    Workspace.take(output, JOB, 1).write("00000.mp4", b"video")
    with pytest.raises(AttemptRepeated):
        Workspace.take(output, JOB, 1)
    assert os.listdir(Workspace.take(output, JOB, 2).path) == ["00000.mp4"]


def test_of_attempts_that_take_over_at_once_the_latest_has_all(
    output: Path, tmp_path: Path
) -> None:
    """Whatever their order, one has the finished segment and the others know that they lost."""
    for _ in range(20):
        Workspace.take(output, JOB, 1).write("00000.mp4", b"video")
        barrier = threading.Barrier(4)
        taken: list[Workspace] = []

        def take(attempt: int, barrier: threading.Barrier, taken: list[Workspace]) -> None:
            barrier.wait()
            try:
                taken.append(Workspace.take(output, JOB, attempt))
            except LeaseLost:
                pass

        threads = [threading.Thread(target=take, args=(n, barrier, taken)) for n in (2, 3, 4, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left = [workspace for workspace in taken if workspace.path.is_dir()]
        assert [workspace.attempt for workspace in left] == [5]
        assert os.listdir(left[0].path) == ["00000.mp4"]
        left[0].remove()
        assert os.listdir(tmp_path) == []


def test_the_folders_of_a_job_that_nobody_runs_go(output: Path, tmp_path: Path) -> None:
    for job, attempt in ((JOB, 2), ("other", 1)):
        Workspace.take(output, job, attempt).write("00000.mp4", b"video")
    Workspace.discard(output, JOB)
    assert [name for name in os.listdir(tmp_path) if JOB in name] == []
    assert len(os.listdir(tmp_path)) == 1
    Workspace.discard(output, JOB)
    Workspace.discard(tmp_path / "none" / "out.mp4", JOB)


def test_it_lies_where_the_output_really_is(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real" / "out.mp4")
    workspace = Workspace.temporary(tmp_path / "link.mp4")
    assert workspace.path.parents[1] == tmp_path / "real"
    workspace.write("video.mp4", b"video")
    workspace.publish("video.mp4")
    workspace.remove()
    assert (tmp_path / "link.mp4").is_symlink()
    assert os.listdir(tmp_path / "real") == ["out.mp4"]


@pytest.mark.parametrize("name", ["x" * 251 + ".mp4", "[a]*?.mp4", "日本" * 40, "new\nline"])
def test_names_mean_nothing(name: str, tmp_path: Path) -> None:
    Workspace.take(tmp_path / name, JOB, 1).write("plan.npz", b"plan")
    second = Workspace.take(tmp_path / name, JOB, 2)
    assert os.listdir(second.path) == ["plan.npz"]
    Workspace.discard(tmp_path / name, JOB)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_made_has_a_code(tmp_path: Path) -> None:
    for output in (tmp_path / "none" / "out.mp4", Path("/proc/out.mp4")):
        with pytest.raises(AnimatorError) as caught:
            Workspace.take(output, JOB, 1)
        assert caught.value.code == "output_not_writable"


def test_a_file_that_appeared_is_not_replaced(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    first = Workspace.take(output, JOB, 1, replaces=False)
    first.write("video", b"ours")
    first.write("extra", b"beside it")
    output.write_bytes(b"theirs")
    with pytest.raises(AnimatorError) as caught:
        first.publish("video", {"extra": tmp_path / "out.npz"})
    assert caught.value.code == "output_exists"
    assert output.read_bytes() == b"theirs"
    assert not (tmp_path / "out.npz").exists()
    # Once it is gone, or may be replaced, what was made is published.
    Workspace.take(output, JOB, 2).write("video", b"ours")
    Workspace(output, JOB, 2).publish("video")
    assert output.read_bytes() == b"ours"
    Workspace(output, JOB, 2).remove()
    assert os.listdir(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_what_an_attempt_before_published_is_the_jobs_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    monkeypatch.setattr(attempt_module, "_ATTRIBUTE", "no.such.name")  # as where there are none
    if not links:

        def refused(*_: object) -> None:
            raise PermissionError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refused)
    output = tmp_path / "out.mp4"
    for attempt in (1, 2, 3):  # as if its worker had died before it could say so
        workspace = Workspace.take(output, JOB, attempt, replaces=False)
        workspace.write("video", b"of attempt %d" % attempt)
        workspace.publish("video")
        assert output.read_bytes() == b"of attempt %d" % attempt
    output.unlink()
    output.write_bytes(b"theirs")
    last = Workspace.take(output, JOB, 4, replaces=False)
    last.write("video", b"ours")
    with pytest.raises(AnimatorError):
        last.publish("video")
    last.remove()
    assert os.listdir(tmp_path) == ["out.mp4"]
    assert output.read_bytes() == b"theirs"


def test_an_output_is_known_after_the_folder_is_gone(output: Path) -> None:
    """A Redis that is killed may forget a job's end, which is then made again."""
    first = Workspace.take(output, JOB, 1, replaces=False)
    first.write("video", b"ours")
    first.publish("video")
    first.remove()
    try:
        os.getxattr(output, attempt_module._ATTRIBUTE)
    except OSError:
        pytest.skip("this file system has no extended attributes")
    again = Workspace.take(output, JOB, 1, replaces=False)
    again.write("video", b"ours, made again")
    again.publish("video")
    assert output.read_bytes() == b"ours, made again"
