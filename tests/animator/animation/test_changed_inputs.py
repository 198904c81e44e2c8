"""Inputs that are replaced while a job reads them: it fails, and nothing wrong is kept of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import pytest

from animator.animation import render
from animator.animation.faces import following
from animator.animation.pipeline import animate
from animator.errors import AnimatorError
from animator.files import unchanged
from animator.media.decode import VideoReader
from animator.spec import JobSpec
from gfla import checkpoint
from tests.animator.media_files import write_video
from tests.helpers import COMPACT, small_generator

SIZE = (256, 256)


@pytest.fixture(scope="module")
def media(samples: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model, a portrait and two videos of another motion."""
    folder = tmp_path_factory.mktemp("media")
    checkpoint.save(
        folder / "small.safetensors", small_generator(COMPACT),
        {"name": "small", "structure_size": 64},
    )  # fmt: skip
    shutil.copy(samples[0], folder / "source.png")
    with VideoReader(samples[1]) as reader:
        batches = [batch for batch, _ in zip(reader, range(3), strict=False)]
    pictures = [cv2.resize(one, SIZE) for batch in batches for one in batch.pixels]
    for name, some in (("old", pictures[:5]), ("new", pictures[12:20])):
        pts = [512 * number for number in range(len(some))]
        write_video(folder / f"{name}.mp4", pts, Fraction(1, 12800), pictures=some, size=SIZE)
    return folder


@pytest.fixture
def spec(media: Path, tmp_path: Path) -> JobSpec:
    for name in ("source.png", "old.mp4"):
        shutil.copy(media / name, tmp_path / name)
        os.utime(tmp_path / name, (0, 1e9))
    return JobSpec(
        str(tmp_path / "source.png"), str(tmp_path / "old.mp4"), str(tmp_path / "out.mp4"),
        size=128, margin=1.75, detector="dlib", device="cpu",
        weights=str(media / "small.safetensors"),
    )  # fmt: skip


def replaced(path: str, new: Path) -> None:
    """Export the file anew, as a careful program does."""
    shutil.copy(new, path + ".tmp")
    os.replace(path + ".tmp", path)


def after(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, do: Callable[..., object]
) -> None:
    """Do something after each call of a function."""
    original = getattr(owner, name)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = original(*arguments, **options)
        do(*arguments)
        return result

    monkeypatch.setattr(owner, name, wrapped)


def expect_changed(spec: JobSpec) -> None:
    with pytest.raises(AnimatorError) as caught:
        animate(spec)
    assert (caught.value.code, caught.value.retryable) == ("input_changed", True)
    assert not os.path.exists(spec.output)


def entries(state_dir: Path) -> int:
    return len(list((state_dir / "cache" / "landmarks").rglob("*.npz")))


def test_a_video_that_is_replaced_after_its_hash(
    spec: JobSpec, media: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = animate(spec)
    shutil.rmtree(state_dir / "cache")
    os.unlink(spec.output)

    def race(path: str, *_: object) -> None:
        if path == spec.driving:
            replaced(path, media / "new.mp4")

    with monkeypatch.context() as patch:
        after(patch, unchanged, "content_hash", race)
        expect_changed(spec)
    assert entries(state_dir) == 0
    shutil.copy(media / "old.mp4", spec.driving)
    again = animate(spec)
    assert (again.cached, again.frames, again.hashes) == ((), truth.frames, truth.hashes)


def test_a_portrait_that_is_replaced_after_its_hash(
    spec: JobSpec, media: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(path: str, *_: object) -> None:
        if path == spec.source:
            replaced(path, media / "old.mp4")

    after(monkeypatch, unchanged, "content_hash", race)
    expect_changed(spec)
    assert entries(state_dir) == 0


def test_a_video_that_is_replaced_while_its_face_is_followed(
    spec: JobSpec, media: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(
        monkeypatch, following.FaceTracker, "track",
        lambda *_: replaced(spec.driving, media / "new.mp4"),
    )  # fmt: skip
    expect_changed(spec)
    assert entries(state_dir) == 1  # the portrait's, which stayed


@pytest.mark.parametrize("mode", ["crop", "side-by-side"])
def test_a_video_that_is_replaced_while_frames_are_rendered(
    spec: JobSpec, mode: Any, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sound, and the pictures beside the result, would be of the other."""
    after(
        monkeypatch, render.Composer, "compose",
        lambda *_: replaced(spec.driving, media / "new.mp4"),
    )  # fmt: skip
    expect_changed(replace(spec, output_mode=mode))


def test_what_goes_wrong_with_a_changed_file_is_laid_to_the_change(
    spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def race(path: str, *_: object) -> None:
        if path == spec.driving:
            Path(path).write_bytes(b"no video any more")

    after(monkeypatch, unchanged, "content_hash", race)
    expect_changed(spec)


def test_rights_may_change(spec: JobSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    after(monkeypatch, render.Composer, "compose", lambda *_: os.chmod(spec.driving, 0o600))
    assert animate(spec).frames == 5


def test_a_job_closes_an_old_state_folder(spec: JobSpec, state_dir: Path) -> None:
    (state_dir / "cache" / "landmarks").mkdir(parents=True)
    (state_dir / "cache").chmod(0o755)
    state_dir.chmod(0o755)
    animate(spec)
    made = [state_dir, *state_dir.rglob("*")]
    assert entries(state_dir) == 2
    assert not any(path.stat().st_mode & 0o077 for path in made)
