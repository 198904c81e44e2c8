"""Landmarks that are found once: by jobs in one process, in several, and on several machines."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from animator import watch
from animator.animation.driving import Driving, driving_arrays, driving_of
from animator.animation.faces import following
from animator.animation.landmark_cache import WAITING
from animator.animation.pipeline import animate
from animator.errors import AnimatorError, JobCancelled
from animator.faces.landmarks import Landmarks
from animator.jobs.store import JobStore
from animator.media.decode import VideoReader
from animator.record import Progress
from animator.settings import Settings
from animator.spec import JobSpec
from gfla import checkpoint
from tests.animator.animation.damage import damage, empty, truncate
from tests.animator.media_files import write_video
from tests.helpers import COMPACT, small_generator

pytestmark = pytest.mark.slow

FRAMES, SIZE = 9, (256, 256)
EXTRACTED = re.compile(r"landmarks of driving ([0-9a-f]{12}) extracted: (\d+) frames")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    return str(path)


@pytest.fixture(scope="module")
def pictures(samples: tuple[Path, Path]) -> list[np.ndarray[Any, Any]]:
    with VideoReader(samples[1]) as reader:
        batches = itertools.islice(reader, 2)
        return [cv2.resize(picture, SIZE) for batch in batches for picture in batch.pixels]


@pytest.fixture(scope="module")
def driving(pictures: list[np.ndarray[Any, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("driving") / "driving.mp4"
    pts = [512 * number for number in range(FRAMES)]
    return write_video(path, pts, Fraction(1, 12800), pictures=pictures[:FRAMES], size=SIZE)


@pytest.fixture
def spec(
    samples: tuple[Path, Path], driving: Path, weights: str, tmp_path: Path, state_dir: Path
) -> JobSpec:
    return JobSpec(
        str(samples[0]), str(driving), str(tmp_path / "out.mp4"), size=128, margin=1.75,
        detector="dlib", device="cpu", weights=weights,
    )  # fmt: skip


def entries(state_dir: Path) -> list[Path]:
    return sorted((state_dir / "cache" / "landmarks").glob("??/*.npz"))


def room(state_dir: Path) -> int:
    """Bytes of the entries, in whole blocks, and one for each name."""
    return sum((1 + -(-path.stat().st_size // 4096)) * 4096 for path in entries(state_dir))


def frames(spec: JobSpec) -> list[np.ndarray[Any, Any]]:
    with VideoReader(spec.output) as reader:
        return [picture for batch in reader for picture in batch.pixels]


def test_another_job_finds_both_and_its_frames_are_the_same(
    spec: JobSpec,
    state_dir: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    first = animate(spec)
    before = frames(spec)
    assert first.cached == () and "landmarks" in first.timings
    assert len(entries(state_dir)) == 2
    [(sha, count)] = EXTRACTED.findall(caplog.text)
    assert (sha, int(count)) == (first.hashes["driving"][:12], FRAMES)
    monkeypatch.setattr(
        following, "make_detector", None
    )  # nothing is loaded, and nothing looked for
    second = animate(replace(spec, output=spec.output + ".mp4"))
    assert second.cached == ("source", "driving")
    assert "landmarks" not in second.timings
    assert np.array_equal(frames(replace(spec, output=spec.output + ".mp4")), before)
    assert (second.frames, second.missing) == (first.frames, first.missing)
    assert len(EXTRACTED.findall(caplog.text)) == 1


OTHERS: dict[str, dict[str, Any]] = {
    "part": {"end": "0.2"},
    "later part": {"start": "0.2"},
    "face": {"face": 1},
}


@pytest.mark.parametrize("change", OTHERS)
def test_what_depends_on_something_else_is_not_taken(change: str, spec: JobSpec) -> None:
    animate(spec)
    assert "driving" not in animate(replace(spec, **OTHERS[change])).cached
    assert animate(replace(spec, motion="absolute", smoothing=0.1)).cached == ("source", "driving")


def test_the_same_content_under_another_name_is_taken(spec: JobSpec, tmp_path: Path) -> None:
    animate(spec)
    os.link(spec.driving, tmp_path / "copy.mp4")
    assert "driving" in animate(replace(spec, driving=str(tmp_path / "copy.mp4"))).cached


@pytest.mark.parametrize("harm", [truncate, damage, empty])
def test_what_is_damaged_is_found_anew(
    harm: Callable[[Path], None], spec: JobSpec, state_dir: Path
) -> None:
    animate(spec)
    before, kept = frames(spec), entries(state_dir)
    whole = [path.read_bytes() for path in kept]
    for path in kept:
        harm(path)
    assert animate(spec).cached == ()
    assert np.array_equal(frames(spec), before)
    assert [path.read_bytes() for path in entries(state_dir)] == whole
    for path, content in zip(kept, reversed(whole), strict=True):
        path.write_bytes(content)  # whole, but of something else
    assert animate(spec).cached == ()


def test_a_video_without_a_face_is_not_kept(spec: JobSpec, tmp_path: Path, state_dir: Path) -> None:
    grey = [np.full((*SIZE, 3), 90, np.uint8)] * 3
    path = write_video(
        tmp_path / "grey.mp4", [0, 512, 1024], Fraction(1, 12800), pictures=grey, size=SIZE
    )
    for _ in range(2):
        with pytest.raises(AnimatorError) as caught:
            animate(replace(spec, driving=str(path)))
        assert caught.value.code == "no_face"
    assert len(entries(state_dir)) == 1  # the source's


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_frames": FRAMES - 1}, "too_long"),
        ({"max_frame_pixels": 256 * 255}, "too_large"),
        ({"max_bytes": 1000}, "too_large"),
    ],
)
def test_limits_hold_for_what_is_kept_too(limits: dict[str, int], code: str, spec: JobSpec) -> None:
    animate(spec)
    settings = replace(Settings.from_environment(), **limits)
    with pytest.raises(AnimatorError) as caught:
        animate(spec, settings=settings)
    assert caught.value.code == code


def test_what_was_not_used_for_longest_goes_first(
    spec: JobSpec, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    animate(spec)
    most = room(state_dir) * 8 // 7 + 1  # an eighth is left free
    monkeypatch.setenv("ANIMATOR_CACHE_BYTES", str(most))
    for path in entries(state_dir):
        os.utime(path, (0, 0))
    animate(replace(spec, end="0.1"))  # touches the source's, and writes its own
    assert animate(replace(spec, end="0.1")).cached == ("source", "driving")
    assert animate(spec).cached == ("source",)
    assert room(state_dir) <= most


def test_a_cache_that_cannot_be_used_fails_no_job(
    spec: JobSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ANIMATOR_STORAGE", str(tmp_path / "file" / "storage"))
    for _ in range(2):
        assert animate(spec).cached == ()
    assert "landmarks are not kept" in caplog.text


def test_machines_that_share_storage_share_landmarks(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_STORAGE", str(tmp_path / "shared"))
    for machine, cached in (("one", ()), ("other", ("source", "driving"))):
        monkeypatch.setenv("ANIMATOR_STATE_DIR", str(tmp_path / machine))
        assert animate(spec).cached == cached
        assert not (tmp_path / machine / "cache" / "landmarks").exists()
    assert len(list((tmp_path / "shared" / "landmarks").glob("??/*.npz"))) == 2


# -- several at the same time --------------------------------------------------------------------


@pytest.fixture(params=["machine", "farm"])
def sharing(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Jobs of one machine, or of machines that share storage and Redis."""
    if request.param == "farm":
        store: JobStore = request.getfixturevalue("store")
        assert store.client.ping()
        monkeypatch.setenv("ANIMATOR_BROKER_URL", request.getfixturevalue("redis_url"))
        monkeypatch.setenv("ANIMATOR_STORAGE", str(tmp_path / "shared"))
    return str(request.param)


WORKER = """
import logging, os, sys
from pathlib import Path
from animator.animation.pipeline import animate
from animator.spec import JobSpec
logging.basicConfig(level=logging.INFO)
spec = JobSpec.from_json(Path(sys.argv[1]).read_text())
print("ready", flush=True)
sys.stdin.readline()
print(animate(spec).to_json())
"""


def test_two_processes_at_once_extract_once(spec: JobSpec, sharing: str, tmp_path: Path) -> None:
    workers = []
    for number in range(2):
        path = tmp_path / f"{number}.json"
        path.write_text(replace(spec, output=str(tmp_path / f"{number}.mp4")).to_json())
        environment = dict(os.environ)
        if sharing == "farm":
            environment["ANIMATOR_STATE_DIR"] = str(tmp_path / f"machine-{number}")
        pipe = subprocess.PIPE
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", WORKER, str(path)],
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                text=True,
                env=environment,
            )  # fmt: skip
        )
    for worker in workers:
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    errors = [worker.communicate()[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    assert len(EXTRACTED.findall("".join(errors))) == 1
    one, other = (frames(replace(spec, output=str(tmp_path / f"{n}.mp4"))) for n in range(2))
    assert np.array_equal(one, other)


def test_threads_of_one_process_extract_once(
    spec: JobSpec, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    cached: list[bool] = []

    def work(number: int) -> None:
        result = animate(replace(spec, output=str(tmp_path / f"{number}.mp4")))
        cached.append("driving" in result.cached)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(cached) == [False, True, True, True]
    assert len(EXTRACTED.findall(caplog.text)) == 1


@pytest.fixture
def holder(spec: JobSpec, sharing: str, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A job in another process that has begun to follow the face, and goes on no more."""
    (tmp_path / "held.json").write_text(replace(spec, output=str(tmp_path / "held.mp4")).to_json())
    command = [
        sys.executable,
        "-m",
        "tests.animator.animation.holding_job",
        str(tmp_path / "held.json"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "holding\n"
        yield process
        process.kill()


def test_who_waits_for_a_killed_one_does_the_work(
    spec: JobSpec,
    holder: subprocess.Popen[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(watch, "REPORT_SECONDS", 0)
    waited: list[int] = []

    def report(progress: Progress) -> None:
        if progress.stage == WAITING:
            waited.append(progress.frame)
            if progress.frame == 3:
                holder.kill()

    result = animate(spec, report=report)
    assert "driving" not in result.cached
    assert waited[:4] == [0, 1, 2, 3]  # it counts as alive
    assert WAITING in result.timings and "landmarks" in result.timings
    assert len(EXTRACTED.findall(caplog.text)) == 1
    assert "without a lock" not in caplog.text


def test_who_waits_can_be_cancelled(spec: JobSpec, holder: subprocess.Popen[str]) -> None:
    seen: list[Progress] = []
    with pytest.raises(JobCancelled):
        animate(
            spec,
            report=seen.append,
            should_stop=lambda: bool(seen) and seen[-1].stage == WAITING,
        )
    assert not Path(spec.output).exists() and holder.poll() is None


def test_who_waits_for_one_that_gets_nowhere_goes_on(
    spec: JobSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMATOR_STALL_SECONDS", "1")
    (tmp_path / "held.json").write_text(replace(spec, output=str(tmp_path / "held.mp4")).to_json())
    command = [
        sys.executable,
        "-m",
        "tests.animator.animation.holding_job",
        str(tmp_path / "held.json"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "holding\n"
        assert "driving" not in animate(spec).cached
        process.kill()


def test_what_is_kept_of_a_video_comes_back_as_it_was() -> None:
    points = np.random.default_rng(0).random((3, 68, 2), np.float32)
    points[1] = np.nan
    boxes = np.where(np.isnan(points[:, 0, :1]), np.nan, 5).astype(np.float32).repeat(4, 1)
    landmarks = Landmarks(points, boxes, np.array([1, 0, 0.5], np.float32))
    driving = Driving(
        landmarks, [0, -3, 2**40], Fraction(1, 90000), None, (3, 2), (None, Fraction(7, 3)), 2
    )
    again = driving_of(driving_arrays(driving))
    assert driving_arrays(again).keys() == driving_arrays(driving).keys()
    for name, array in driving_arrays(driving).items():
        assert np.array_equal(driving_arrays(again)[name], array, equal_nan=array.dtype.kind == "f")
    assert (again.pts, again.time_base, again.rate) == (driving.pts, driving.time_base, None)
    assert (again.size, again.audio, again.faces) == (driving.size, driving.audio, driving.faces)


def test_the_cache_is_in_the_state_folder_unless_machines_share_one(state_dir: Path) -> None:
    assert Settings.from_environment().cache_dir == state_dir / "cache"
