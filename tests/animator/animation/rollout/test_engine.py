from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from animator.animation.faces.portrait import PortraitGenerator
from animator.animation.rollout import batches
from animator.animation.rollout import clip as engine_clip
from animator.animation.rollout.batches import BatchStep
from animator.animation.rollout.clip import DEPTH, Asked, ClipClosed
from animator.animation.rollout.engine import SHARE, Clip, Engine, counters
from animator.animation.rollout.loading import PortraitModel
from animator.animation.rollout.state_cache import StateCache
from animator.errors import AnimatorError, JobCancelled
from gfla import checkpoint
from gfla.config import AnimationConfig
from gfla.errors import GflaError
from gfla.models.rollout import RolloutState, Told
from tests.golden.faces import MEAN_FACE
from tests.helpers import COMPACT, NARROW, TOLERANCE, small_generator

Points = NDArray[np.float32]


@pytest.fixture(scope="module", params=[COMPACT, NARROW], ids=["compact", "published"])
def generator(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> PortraitGenerator:
    return load(request.param, tmp_path_factory.mktemp("weights"), "cpu")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    until(lambda: not engine_threads())


def load(config: AnimationConfig, folder: Path, device: str) -> PortraitGenerator:
    path = folder / "small.safetensors"
    checkpoint.save(path, small_generator(config), {"name": "small", "structure_size": 64})
    return PortraitGenerator(path, torch.device(device), "float32")


def poses(seed: int, count: int = 6) -> list[Points]:
    random = np.random.default_rng(seed)
    face = np.asarray(MEAN_FACE, np.float32)
    return [face + random.normal(0, 0.01, (68, 2)).astype(np.float32) for _ in range(count)]


def first(generator: PortraitGenerator, seed: int, size: int = 64) -> RolloutState:
    side = generator.inner_size(size)
    # As smooth as a photograph: in noise, sampling would amplify rounding.
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    picture = np.asarray(cv2.resize(noise, (side, side), interpolation=cv2.INTER_LINEAR))
    return generator.start(picture, poses(100 + seed, 1)[0])


def alone(
    generator: PortraitGenerator, state: RolloutState, landmarks: list[Points]
) -> list[tuple[NDArray[np.uint8], RolloutState]]:
    results = []
    for points in landmarks:
        state, picture = generator.step(state, points)
        results.append((picture, state))
    return results


def render(
    engine: Engine, state: RolloutState, landmarks: list[Points]
) -> list[tuple[NDArray[np.uint8], RolloutState]]:
    with engine.open(state) as clip:
        return list(clip.render(landmarks))


def engine_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "engine"]


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Recorder:
    """A model without networks: steps when it is let, and notes whose step it was."""

    name, device = "recorder", torch.device("cpu")

    def __init__(self) -> None:
        self.gate = threading.Semaphore(0)
        self.steps: list[str] = []

    def guidance(self, landmarks: Any, state: Any) -> Any:
        return landmarks, None

    def tell(self, drawn: Any, known: Any) -> Any:
        return drawn

    def advance(self, state: Any, drawn: Any) -> Any:
        self.gate.acquire()
        self.steps.append(state.name)
        if isinstance(drawn[0], Exception):
            raise drawn[0]
        return state, drawn[0]

    def open(self, engine: Engine, name: str, **options: Any) -> Clip:
        source = SimpleNamespace(landmarks=None)
        state = SimpleNamespace(name=name, previous=(), source=source)
        return engine.open(cast(RolloutState, state), **options)


def record(recorder: Recorder, engine: Engine, priorities: dict[str, int], steps: int) -> list[str]:
    """Whose steps come, where every clip always has a frame to render."""
    with ExitStack() as stack:
        clips = {n: stack.enter_context(recorder.open(engine, n, priority=p))
                 for n, p in priorities.items()}  # fmt: skip
        for clip in clips.values():
            clip.put(cast(Points, 0))
        for done in range(steps + 1):  # the first is under way while the others are put
            until(lambda: sum(clip.stepping for clip in clips.values()) == 1)  # noqa: B023
            for clip in clips.values():
                if not clip.inputs or (clip.stepping and len(clip.inputs) == 1):
                    clip.put(cast(Points, 0))
            recorder.gate.release()
            until(lambda: len(recorder.steps) == done + 1)  # noqa: B023
            clips[recorder.steps[-1]].get()
        until(lambda: any(clip.stepping for clip in clips.values()))
        recorder.gate.release()
    return recorder.steps[1 : steps + 1]


def test_frames_and_states_are_bit_for_bit_those_of_running_alone(
    generator: PortraitGenerator,
) -> None:
    engine = Engine(generator, 2)
    states = [first(generator, seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda i: render(engine, states[i], poses(i)), range(3)))
    for seed, frames in enumerate(found):
        wanted = alone(generator, states[seed], poses(seed))
        for (picture, state), (right, after) in zip(frames, wanted, strict=True):
            assert np.array_equal(picture, right)
            assert torch.equal(state.previous[0].image, after.previous[0].image)


def test_a_state_goes_on_in_another_engine(generator: PortraitGenerator) -> None:
    landmarks = poses(5)
    head = render(Engine(generator, 1), first(generator, 5), landmarks[:2])
    tail = render(Engine(generator, 1), head[-1][1], landmarks[2:])
    wanted = alone(generator, first(generator, 5), landmarks)
    for (picture, _), (right, _) in zip(head + tail, wanted, strict=True):
        assert np.array_equal(picture, right)


def test_a_batch_gives_what_each_clip_gives_alone(generator: PortraitGenerator) -> None:
    """Clips of other lengths and sizes come and go, so batches change all the time."""
    engine = Engine(generator, 3, batched=True)
    sizes = [64, 64, 128, 64, 128]
    states = [first(generator, seed, size) for seed, size in enumerate(sizes)]
    landmarks = [poses(seed, 3 + 2 * seed) for seed in range(5)]
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda i: render(engine, states[i], landmarks[i]), range(5)))
    for seed, frames in enumerate(found):
        before = states[seed]
        for points, (picture, after) in zip(landmarks[seed], frames, strict=True):
            # Each step from where the batch was: over many, networks of noise amplify rounding.
            state, right = generator.step(before, points)
            assert np.abs(picture.astype(int) - right).max() <= 1
            new, old = after.previous[0], state.previous[0]
            torch.testing.assert_close(new.image, old.image, **TOLERANCE[torch.float32])
            assert torch.equal(new.structure, old.structure)
            assert after.source is before.source
            before = after
    counted = engine.counters()
    assert counted.frames == sum(map(len, landmarks)) > counted.steps


def test_what_stays_in_place_is_not_stacked_again(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacked: list[int] = []
    stack = batches.stack
    monkeypatch.setattr(
        batches, "stack", lambda parts: [stacked.append(len(parts)), stack(parts)][1]
    )
    step = BatchStep(generator, 4)
    states = [first(generator, seed) for seed in range(2)]
    drawn = [generator.guidance(poses(seed, 1)[0], states[seed]) for seed in range(2)]
    before = [state for state, _ in step(states, drawn)]
    stacked.clear()
    after = [state for state, _ in step(before, drawn)]
    assert stacked == []
    again = step(before, drawn)  # as after an attempt that failed: states, but not sources
    assert stacked == [2]
    torch.testing.assert_close(again[0][0].previous[0].image, after[0].previous[0].image)
    step(after[::-1], drawn[::-1])
    assert stacked == [2, 2, 2]


def test_a_batch_that_failed_half_way_starts_from_the_states(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BatchStep(generator, 2)
    state = first(generator, 0)
    drawn = generator.guidance(poses(0, 1)[0], state)
    (after, _), = step([state], [drawn])  # fmt: skip
    right = step([after], [drawn])[0][1]
    (after, _), = step([state], [drawn])  # fmt: skip
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="late"):
        patch.setattr(batches, "split", lambda *parts: (_ for _ in ()).throw(RuntimeError("late")))
        step([after], [drawn])
    assert np.array_equal(step([after], [drawn])[0][1], right)


def test_captured_batches_have_few_sizes_and_fill_up(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What CUDA does, but for the graph itself, which replays the same work."""
    captured: list[int] = []

    def capture(batch: Any, pool: object) -> Any:
        captured.append(batch.count)
        return SimpleNamespace(replay=batch._work)

    monkeypatch.setattr(batches._Batch, "_captured", capture)
    step = BatchStep(generator, 6)
    step._pool = object()
    states = [first(generator, seed) for seed in range(6)]
    for number, count in enumerate((1, 3, 3, 4, 2, 5, 6)):
        frames = [poses(10 * number + seed, 1)[0] for seed in range(count)]
        drawn = [generator.guidance(one, states[0]) for one in frames]
        wanted = [generator.step_drawn(*pair) for pair in zip(states, drawn, strict=False)]
        found = step(states[:count], drawn)
        for (state, picture), (right, expected) in zip(found, wanted, strict=True):
            assert np.abs(picture.astype(int) - expected).max() <= 1
            new, old = state.previous[0].image, right.previous[0].image
            torch.testing.assert_close(new, old, atol=3e-5, rtol=1e-5)  # of up to seven frames
        states[:count] = [state for state, _ in found]
    assert captured == [1, 4, 2, 6]


def test_a_batch_keeps_no_clip_in_memory(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BatchStep(generator, 2)
    # By itself the model keeps the beginnings of some clips.
    monkeypatch.setattr(generator, "starts", StateCache(0))
    state = first(generator, 0)
    after = step([state], [generator.guidance(poses(0, 1)[0], state)])
    watched = [weakref.ref(state), weakref.ref(state.source), weakref.ref(after[0][0])]
    del state, after
    gc.collect()
    assert [one() for one in watched] == [None] * 3


def test_a_slow_consumer_and_a_slow_producer_stall_nobody(generator: PortraitGenerator) -> None:
    for batched in (False, True):
        engine = Engine(generator, 2, batched=batched)
        with engine.open(first(generator, 0)) as unread, engine.open(first(generator, 1)) as idle:
            for points in poses(0, DEPTH):
                unread.put(points)
            frames = render(engine, first(generator, 2), poses(2, 12))
            assert len(frames) == 12
            idle.put(poses(1, 1)[0])
            assert idle.get()[0].dtype == np.uint8
            assert len([unread.get() for _ in range(DEPTH)]) == DEPTH


def test_both_queues_are_bounded() -> None:
    recorder = Recorder()
    engine = Engine(cast(PortraitGenerator, recorder), 1)
    recorder.gate.release(100)
    tries: list[int] = []

    def give_up() -> None:
        tries.append(1)
        if len(tries) > 3:
            raise JobCancelled

    with recorder.open(engine, "unread", check=give_up) as clip:
        with pytest.raises(JobCancelled):
            for number in range(100):
                clip.put(cast(Points, number))
        assert number == 2 * DEPTH
        assert len(recorder.steps) == DEPTH
        tries.clear()
        assert [clip.get()[0] for _ in range(2 * DEPTH)] == list(range(2 * DEPTH))
        tries.clear()
        with pytest.raises(JobCancelled):
            clip.get()


def test_the_least_recently_stepped_comes_first() -> None:
    recorder = Recorder()
    engine = Engine(cast(PortraitGenerator, recorder), 1)
    order = record(recorder, engine, dict.fromkeys("abc", 0), 12)
    assert order == list(islice(cycle(order[:3]), 12))
    assert sorted(order[:3]) == ["a", "b", "c"]


def test_priorities_share_and_starve_nobody() -> None:
    recorder = Recorder()
    engine = Engine(cast(PortraitGenerator, recorder), 1)
    order = record(recorder, engine, {"low": -1, "a": 0, "b": 0}, 2 * (2 * SHARE + 1))
    assert order.count("low") == 2
    assert abs(order.count("a") - order.count("b")) <= 1


def test_the_error_of_a_clip_reaches_it_alone(generator: PortraitGenerator) -> None:
    for batched in (False, True):
        engine = Engine(generator, 3, batched=batched)
        state = first(generator, 0)
        structure, points = generator.guidance(poses(0, 1)[0], state)
        with ThreadPoolExecutor(2) as pool, engine.open(state) as bad:
            good = [pool.submit(render, engine, first(generator, s), poses(s)) for s in (1, 2)]
            bad.put_drawn((structure, points))
            bad.put_drawn((torch.cat([structure, structure], 3).repeat(1, 1, 2, 1), points))
            bad.get()  # what was rendered before it
            with pytest.raises((GflaError, RuntimeError)) as caught:
                bad.get()
            with pytest.raises(type(caught.value)):
                bad.put(poses(0, 1)[0])
            assert [len(one.result()) for one in good] == [6, 6]
        assert engine.counters().failures == 1


def test_landmarks_that_cannot_be_drawn_are_refused_at_once(generator: PortraitGenerator) -> None:
    with Engine(generator, 1).open(first(generator, 0)) as clip:
        with pytest.raises(GflaError):
            clip.put(np.full((68, 2), np.nan, np.float32))
        assert len(list(clip.render(poses(0, 2)))) == 2


def test_out_of_memory_halves_the_batch_and_fails_nobody(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance = generator.network.advance

    def small(state: RolloutState, told: Told) -> Any:
        if len(told.structure) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return advance(state, told)

    monkeypatch.setattr(generator.network, "advance", small)
    engine = Engine(generator, 4, batched=True)
    clips = [engine.open(first(generator, seed)) for seed in range(4)]
    with engine.lock:  # all at once
        for seed, clip in enumerate(clips):
            clip.inputs.append(Asked(generator.guidance(poses(seed, 1)[0], clip.state)))
        engine.work.notify()
    for clip in clips:
        assert clip.get()[0].dtype == np.uint8
        clip.close()
    counted = engine.counters()
    assert (counted.halvings, counted.limit, counted.failures) == (2, 1, 0)
    assert (counted.steps, counted.frames) == (4, 4)


def test_a_clip_that_does_not_fit_alone_waits_and_then_fails(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, refusals = generator.network.advance, iter([True] * 3)

    def refused(state: RolloutState, told: Told) -> Any:
        if next(refusals, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return advance(state, told)

    monkeypatch.setattr(engine_clip, "REST", 0.01)
    monkeypatch.setattr(generator.network, "advance", refused)
    engine = Engine(generator, 2, batched=True)
    assert len(render(engine, first(generator, 0), poses(0))) == 6
    refusals = iter([True] * 10_000)
    monkeypatch.setattr(engine_clip, "PATIENCE", 0.05)
    with pytest.raises(AnimatorError) as caught:
        render(engine, first(generator, 0), poses(0))
    assert (caught.value.code, caught.value.retryable) == ("out_of_memory", True)


def test_closing_frees_the_place_within_a_step() -> None:
    recorder = Recorder()
    engine = Engine(cast(PortraitGenerator, recorder), 1)
    clip, other = recorder.open(engine, "closed"), recorder.open(engine, "other")
    for number in range(DEPTH):
        clip.put(cast(Points, number))
    until(lambda: clip.stepping)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(clip.get)
        clip.close()
        clip.close()
        with pytest.raises(ClipClosed):
            waiting.result(10)
    with pytest.raises(ClipClosed):
        clip.put(cast(Points, 0))
    assert engine.counters().clips == 1
    other.put(cast(Points, 0))
    recorder.gate.release(2)
    other.get()
    assert recorder.steps == ["closed", "other"]
    other.close()


def test_threads_live_as_long_as_clips(generator: PortraitGenerator) -> None:
    engine = Engine(generator, 2)
    assert not engine_threads()
    clip = engine.open(first(generator, 0))
    assert len(engine_threads()) == 2
    clip.put(poses(0, 1)[0])
    clip.get()
    del clip  # forgotten, not closed
    until(lambda: not engine_threads())
    assert len(render(engine, first(generator, 0), poses(0, 2))) == 2
    watched = weakref.ref(engine)
    until(lambda: not engine_threads())
    del engine
    gc.collect()
    assert watched() is None


def test_a_fault_of_the_engine_leaves_nobody_waiting(
    generator: PortraitGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(generator, 1)
    monkeypatch.setattr(threading, "excepthook", lambda details: None)
    monkeypatch.setattr(engine, "_pick", lambda: 1 / 0)
    with engine.open(first(generator, 0)) as clip, pytest.raises(ZeroDivisionError):
        clip.get()
    monkeypatch.undo()
    assert len(render(engine, first(generator, 0), poses(0, 2))) == 2


@pytest.mark.slow
def test_it_does_not_hold_up_the_end_of_the_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import sys, threading
from pathlib import Path
from animator.animation.rollout.engine import Engine, ClipClosed
from tests.animator.animation.rollout.test_engine import COMPACT, first, load, poses

engine = Engine(load(COMPACT, Path(sys.argv[1]), "cpu"), 2)
clip = engine.open(first(engine.generator, 0))
clip.put(poses(0, 1)[0])
clip.get()

def wait():
    try:
        clip.get()
    except ClipClosed:
        print("told")

threading.Thread(target=wait).start()
other = engine.open(first(engine.generator, 1))
for points in poses(1, 4):
    other.put(points)
"""
    )
    command = [sys.executable, str(script), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "told\n", "")


def test_a_model_has_one_engine_of_the_size_that_is_set(
    generator: PortraitGenerator,
) -> None:
    model = PortraitModel(generator)
    engine = model.engine(3)
    assert model.engine(3) is model.engine() is engine
    assert engine.slots == 3
    gc.collect()  # engines of tests before, which would be counted and then be gone
    other = Engine(generator, 1)  # those of one model are counted together
    before = {one.model: one for one in counters()}
    render(engine, first(generator, 0), poses(0, 2))
    (mine,) = [one for one in counters() if one.model == generator.name]
    assert (mine.device, mine.clips, mine.frames - before[mine.model].frames) == ("cpu", 0, 2)
    assert mine.seconds > 0
    assert mine.slots == before[mine.model].slots >= engine.slots + other.slots


@pytest.mark.gpu
@pytest.mark.parametrize("config", [COMPACT, NARROW], ids=["compact", "published"])
def test_batches_on_cuda(
    config: AnimationConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    generator = load(config, tmp_path, "cuda")
    engine = Engine(generator, 4)
    states = [first(generator, seed) for seed in range(5)]
    with ThreadPoolExecutor(5) as pool:
        found = list(pool.map(lambda i: render(engine, states[i], poses(i)), range(5)))
    for seed, frames in enumerate(found):
        before = states[seed]
        for points, (_, after) in zip(poses(seed), frames, strict=True):
            wanted = generator.step(before, points)[0].previous[0].image
            torch.testing.assert_close(after.previous[0].image, wanted, atol=1e-4, rtol=1e-4)
            before = after
