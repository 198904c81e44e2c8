"""States before the first frame, shared by the clips of one portrait."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout.state_cache import StateCache, state_bytes
from animator.errors import AnimatorError
from animator.faces.detectors.mean_face import MEAN_FACE
from gfla import checkpoint
from gfla.models.rollout import RolloutState
from tests.helpers import COMPACT, small_generator

POINTS = (np.asarray(MEAN_FACE, np.float32) + 1) / 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    checkpoint.save(path, small_generator(COMPACT), {"structure_size": 64})
    yield path


def load(weights: Path) -> PortraitGenerator:
    return PortraitGenerator(weights, torch.device("cpu"), "float32")


def picture(seed: int = 0, side: int = 128) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)


@pytest.fixture
def state(weights: Path) -> RolloutState:
    return load(weights).start(picture(side=64), POINTS)


def test_clips_of_one_portrait_share_their_beginning(weights: Path) -> None:
    generator = load(weights)
    first = generator.start(picture(), POINTS)
    turned = picture()[:, ::-1].copy()[:, ::-1]  # the same pixels, laid out otherwise
    assert generator.start(turned, POINTS.astype(np.float32)) is first
    others = [
        generator.start(picture(1), POINTS),
        generator.start(picture(), POINTS + np.float32(0.01)),
        generator.start(picture(side=64), POINTS),
    ]
    assert len({id(one) for one in (first, *others)}) == 4
    assert load(weights).start(picture(), POINTS) is not first


def test_frames_are_the_same_however_often_it_is_shared(weights: Path) -> None:
    targets = [POINTS + np.float32(0.004 * n) for n in range(4)]
    shared = load(weights)
    clips = []
    for generator in (shared, shared, load(weights)):
        state, frames = generator.start(picture(), POINTS), []
        for points in targets:
            state, frame = generator.step(state, points)
            frames.append(frame)
        clips.append(np.stack(frames))
    assert np.array_equal(clips[0], clips[1]) and np.array_equal(clips[0], clips[2])


def test_only_so_many_bytes_are_kept(state: RolloutState) -> None:
    size = state_bytes(state)
    assert size > 3 * 64 * 64 * 4
    cache = StateCache(2 * size)
    made: list[bytes] = []

    def get(key: bytes) -> None:
        cache.get(key, lambda: made.append(key) or replace(state))

    for key in (b"1", b"2", b"1", b"3"):
        get(key)
    assert (len(cache), cache.size, made) == (2, 2 * size, [b"1", b"2", b"3"])
    get(b"1")  # used later than 2, which has gone
    get(b"2")
    assert made == [b"1", b"2", b"3", b"2"]
    large = StateCache(size - 1)
    assert large.get(b"1", lambda: state) is state and len(large) == large.size == 0


def test_threads_that_want_the_same_make_it_once(state: RolloutState) -> None:
    cache, made, got = StateCache(), [], []
    begun, goes_on = threading.Event(), threading.Event()

    def make() -> RolloutState:
        made.append(1)
        begun.set()
        assert goes_on.wait(20)
        return state

    def work(make: Callable[[], RolloutState]) -> None:
        got.append(cache.get(b"1", make))

    threads = [threading.Thread(target=work, args=(make,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    goes_on.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and all(one is state for one in got) and len(got) == 3


def test_what_failed_is_tried_again(state: RolloutState) -> None:
    cache = StateCache()

    def fail() -> RolloutState:
        raise AnimatorError("out_of_memory", "Full.")

    for _ in range(2):
        with pytest.raises(AnimatorError):
            cache.get(b"1", fail)
    assert cache.get(b"1", lambda: state) is state
