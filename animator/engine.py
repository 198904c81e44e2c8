"""Steps the clips of all jobs of a process together; each clip sees a queue in and a queue out.

Frames of one clip are serial, clips are not. A thread of the loaded model picks clips that have a
frame to render and room for its result, steps them as one batch, and hands the results out. A clip
whose producer or consumer is slow is merely not picked; one that fails, fails alone.

On a CPU a batch takes longer than its frames one after another, and rounds differently: there each
step is of one clip, exactly as if it were alone, and as many threads do so as there are cores for.

Who comes next is stride scheduling: each step puts a clip's turn off by a stride, and the clips
with the least turns are picked. Within a priority that is the least recently stepped first; a clip
of the next priority is stepped ``SHARE`` times as often, so that none waits for ever.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from animator.batches import BatchStep, Stepped
from animator.errors import AnimatorError
from animator.generate import Guidance, PortraitGenerator
from animator.settings import Settings
from gfla.models.rollout import RolloutState

DEPTH = 4
"""Frames that wait in each of a clip's two queues at most."""
SHARE = 8
"""Steps of a clip for one of a clip of the next lower priority, where not all fit."""
POLL = 0.1
"""Seconds between two looks of a waiting thread at whether it is to stop."""
CUDA_SLOTS = 32
"""Clips in one batch on CUDA unless ``ANIMATOR_SLOTS`` says otherwise."""
PATIENCE = 30.0
"""Seconds in which a clip that does not fit into memory even alone is tried again."""
REST = 0.5
"""Seconds between two such tries."""
RELIEF = 60.0
"""Seconds after which a batch that was halved for want of memory may double again."""

Picture = NDArray[np.uint8]
_log = logging.getLogger(__name__)
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_making = threading.Lock()
_numbers = itertools.count()


class ClipClosed(Exception):
    """The clip was closed while it was waited for, or the interpreter is about to end."""


@dataclass(frozen=True)
class Counters:
    """What an engine has done so far.

    Attributes:
        model: name of the weights.
        device: where they run.
        slots: most clips that are stepped at the same moment.
        limit: most in one batch at present: on CUDA ``slots``, or fewer after the device ran out
            of memory; on a CPU 1.
        clips: open ones.
        steps: batches that were stepped.
        frames: rendered in them, so that ``frames / steps`` is the mean size of a batch.
        seconds: spent in steps; on a CPU they overlap, up to ``slots`` of them.
        halvings: how often a batch did not fit into memory.
        failures: clips that ended with an error.
    """

    model: str
    device: str
    slots: int
    limit: int
    clips: int
    steps: int
    frames: int
    seconds: float
    halvings: int
    failures: int


class Engine:
    """Steps the open clips of one model in threads of its own, which live while there are any.

    Args:
        generator: the loaded model.
        slots: most clips that are stepped at the same moment: on CUDA in one batch, on a CPU each
            in a thread.
        batched: whether to step them as a batch; where not given, as the device has it.
    """

    def __init__(
        self, generator: PortraitGenerator, slots: int, *, batched: bool | None = None
    ) -> None:
        self.generator = generator
        self.slots = slots
        if batched is None:
            batched = generator.device.type == "cuda"
        self._batches = BatchStep(generator, slots) if batched else None
        self._limit = self._width = slots if batched else 1
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        # Weak: a clip that is forgotten without being closed must not keep its place for ever.
        self._clips: weakref.WeakSet[Clip] = weakref.WeakSet()
        self._threads = 0
        self._shrunk = 0.0
        self._clock = 0.0
        self._steps = self._frames = self._halvings = self._failures = 0
        self._seconds = 0.0
        _engines.add(self)

    def open(
        self,
        state: RolloutState,
        priority: int = 0,
        check: Callable[[], object] = lambda: None,
    ) -> Clip:
        """Admit a clip.

        Args:
            state: before its first frame, of ``PortraitGenerator.start`` or of an earlier step.
            priority: the larger, the more often it is stepped where there is not room for all.
            check: called about ten times a second while ``put`` or ``get`` waits, in the thread
                that waits; what it raises, such as JobCancelled, ends the wait.

        Returns:
            The clip, a context manager that closes it.
        """
        self._complete()
        clip = Clip(self, state, priority, check)
        with self._lock:
            clip._turn = self._clock
            self._clips.add(clip)
            while self._threads < self.slots // self._width:
                # Not a daemon: one that is inside torch as the interpreter ends would abort it.
                threading.Thread(target=self._run, name="engine").start()
                self._threads += 1
        return clip

    def counters(self) -> Counters:
        """What it has done so far."""
        with self._lock:
            return Counters(
                self.generator.name,
                str(self.generator.device),
                self.slots,
                self._limit,
                len(self._clips),
                self._steps,
                self._frames,
                self._seconds,
                self._halvings,
                self._failures,
            )

    def _complete(self) -> None:
        """Wait for the calling thread's tensors: the engine's thread works on another stream."""
        if self.generator.device.type == "cuda":
            torch.cuda.current_stream(self.generator.device).synchronize()

    def _run(self) -> None:
        while batch := self._next():
            self._advance(batch)
            with self._lock:
                for clip in batch:
                    clip._stepping = False
                self._work.notify()
            del batch, clip  # while it waits, the thread holds no clip

    def _next(self) -> list[Clip]:
        """The clips to step next; waits for some, and gives none once the thread is to end."""
        with self._lock:
            while self._clips and threading.main_thread().is_alive():
                if batch := self._pick():
                    return batch
                self._work.wait(POLL)
            for clip in list(self._clips):
                self._end(clip, ClipClosed("the interpreter ends"))
            self._threads -= 1
            if self._batches and not self._threads:
                self._batches.forget()
            return []

    def _pick(self) -> list[Clip]:
        now = time.monotonic()
        if self._limit < self._width and now - self._shrunk > RELIEF:
            self._limit, self._shrunk = min(2 * self._limit, self._width), now
        ready = [clip for clip in self._clips if clip._is_ready(now)]
        if ready:
            ready.sort(key=lambda clip: (clip._turn, clip._number))
            self._clock = max(self._clock, ready[0]._turn)
        batch = ready[: self._limit]
        for clip in batch:
            clip._stepping = True
        return batch

    def _advance(self, batch: list[Clip]) -> None:
        """Step clips as one batch; where that fails, each alone, so that one does not harm all."""
        with self._lock:
            batch = [clip for clip in batch if clip._error is None]
            states, frames = [clip._state for clip in batch], [clip._inputs[0] for clip in batch]
        if not batch:
            return
        began = time.monotonic()
        error: Exception | None = None
        try:
            results = self._rendered(states, frames)
        except Exception as caught:  # noqa: BLE001 - whatever it is, it is the clip's to raise
            error = caught
        if isinstance(error, torch.OutOfMemoryError):
            # Its frames hold tensors, which must not take the memory that the next try needs.
            error.__traceback__ = None
            self._out_of_memory(batch)
        elif error and len(batch) > 1:
            for clip in batch:
                self._advance([clip])
        else:
            with self._lock:
                if error:
                    self._end(batch[0], error)
                    return
                self._steps += 1
                self._frames += len(batch)
                self._seconds += time.monotonic() - began
                for clip, (state, picture) in zip(batch, results, strict=True):
                    self._deliver(clip, state, picture)

    def _rendered(self, states: list[RolloutState], frames: list[Guidance]) -> list[Stepped]:
        if self._batches:
            return self._batches(states, frames)
        pairs = zip(states, frames, strict=True)
        return [self.generator.step_drawn(state, frame) for state, frame in pairs]

    def _deliver(self, clip: Clip, state: RolloutState, picture: Picture) -> None:
        clip._turn = max(clip._turn, self._clock) + SHARE**-clip._priority
        clip._misfit = None
        if clip._error is None:  # else it was closed meanwhile
            clip._state = state
            clip._inputs.popleft()
            clip._outputs.append((picture, state))
            clip._changed.notify_all()

    def _out_of_memory(self, batch: list[Clip]) -> None:
        """Go on with half the batch; a clip that does not fit even alone waits for better times."""
        _log.warning("a batch of %d clips does not fit into the device's memory", len(batch))
        if self._batches:
            self._batches.forget()
        with self._lock:
            now = time.monotonic()
            self._halvings += 1
            self._limit, self._shrunk = max(1, len(batch) // 2), now
            if len(batch) == 1:
                clip = batch[0]
                clip._misfit = clip._misfit or now
                clip._rests_until = now + REST
                if now - clip._misfit > PATIENCE:
                    message = "The device has not enough memory for this job."
                    self._end(clip, AnimatorError("out_of_memory", message, retryable=True))

    def _end(self, clip: Clip, error: Exception) -> None:
        self._failures += 1
        self._clips.discard(clip)
        clip._error = clip._error or error
        clip._changed.notify_all()


class Clip:
    """A clip in an engine: landmarks in, frames out in the same order.

    Made by ``Engine.open``. One thread may put and another get.
    """

    def __init__(
        self, engine: Engine, state: RolloutState, priority: int, check: Callable[[], object]
    ) -> None:
        self._engine = engine
        self._number = next(_numbers)
        self._priority = priority
        self._check = check
        self._first = self._state = state
        self._inputs: deque[Guidance] = deque()
        self._outputs: deque[tuple[Picture, RolloutState]] = deque()
        self._changed = threading.Condition(engine._lock)
        self._error: Exception | None = None
        self._turn = 0.0
        self._stepping = False
        self._misfit: float | None = None
        self._rests_until = 0.0

    def put(self, landmarks: NDArray[np.floating]) -> None:
        """Ask for the next frame; waits while ``DEPTH`` frames are asked for already.

        The guidance is drawn here, in the caller's thread.

        Args:
            landmarks: 68 x 2 of the frame, in units of the crop.

        Raises:
            ClipClosed: if the clip was closed.
            Exception: what went wrong with the clip, or what ``check`` raised.
        """
        drawn = self._engine.generator.guidance(landmarks, self._first)
        self._engine._complete()
        with self._once(lambda: self._error is None and len(self._inputs) < DEPTH):
            self._inputs.append(drawn)
            self._engine._work.notify()

    def get(self) -> tuple[Picture, RolloutState]:
        """The next frame, uint8 S S 3 RGB, and the clip's state after it; waits for them.

        Raises:
            ClipClosed: if the clip was closed.
            Exception: what went wrong with the clip, after all frames from before that, or what
                ``check`` raised.
        """
        with self._once(lambda: bool(self._outputs)):
            self._engine._work.notify()
            return self._outputs.popleft()

    def render(
        self, landmarks: Iterable[NDArray[np.floating]]
    ) -> Iterator[tuple[Picture, RolloutState]]:
        """What ``get`` gives for each of some landmarks; they are put ahead as far as fits."""
        asked = 0
        for one in landmarks:
            if asked == DEPTH:
                yield self.get()
                asked -= 1
            self.put(one)
            asked += 1
        for _ in range(asked):
            yield self.get()

    def close(self) -> None:
        """Give the place up; a step that is under way is the last. Does nothing if closed."""
        engine = self._engine
        with engine._lock:
            engine._clips.discard(self)
            self._error = self._error or ClipClosed("the clip is closed")
            self._inputs.clear()
            self._outputs.clear()
            self._changed.notify_all()
            engine._work.notify()

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def _is_ready(self, now: float) -> bool:
        wanted = bool(self._inputs) and len(self._outputs) < DEPTH
        return wanted and not self._stepping and now >= self._rests_until

    @contextmanager
    def _once(self, ready: Callable[[], bool]) -> Iterator[None]:
        """Wait until something is so, and keep it so; ends with the clip's error or ``check``'s."""
        while True:
            with self._engine._lock:
                if ready():
                    yield
                    return
                if self._error is not None:
                    raise self._error
                self._changed.wait(POLL)
            self._check()


def engine_for(generator: PortraitGenerator) -> Engine:
    """The engine of a loaded model; it is kept with the model, so one that is unloaded takes it."""
    with _making:
        if generator.engine is None:
            settings = Settings.from_environment()
            on_cuda = generator.device.type == "cuda"
            fitting = CUDA_SLOTS if on_cuda else _cores() // torch.get_num_threads()
            generator.engine = Engine(generator, settings.slots or max(1, fitting))
        return generator.engine


def counters() -> list[Counters]:
    """What the engines of this process have done so far."""
    with _making:
        engines = list(_engines)
    return [engine.counters() for engine in engines]


def _cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
