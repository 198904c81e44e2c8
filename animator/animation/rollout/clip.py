"""A clip in an engine: two bounded queues, and what the engine keeps of it."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from animator.animation.rollout.generator import Guidance, RolloutGenerator, Unfinished
from gfla.arrays import Picture
from gfla.models.rollout import Reference, RolloutState, Told, known_of

DEPTH = 4
"""Frames that wait in each of a clip's two queues at most."""
POLL = 0.1
"""Seconds between two looks of a waiting thread at whether it is to stop."""
PATIENCE = 30.0
"""Seconds in which a clip that does not fit into memory even alone is tried again."""
REST = 0.5
"""Seconds between two such tries."""

_numbers = itertools.count()


class Asked(NamedTuple):
    """A frame that a clip is asked for.

    Attributes:
        drawn: what the engine is told of it.
        source: the clip's source from this frame on, if another one.
        previous: what stands for the frames before it, if the clip begins anew with it.
    """

    drawn: Guidance | Told
    source: Reference | None = None
    previous: tuple[Reference, ...] | None = None

    def state(self, state: RolloutState) -> RolloutState:
        """The state in which the frame is rendered, of that after the frame before."""
        if self.source is not None:
            state = replace(state, source=self.source)
        return state if self.previous is None else replace(state, previous=self.previous)


class ClipClosed(Exception):
    """The clip was closed while it was waited for, or the interpreter is about to end."""


class Stepper(Protocol):
    """What steps clips, as they see it: `animator.animation.rollout.engine.Engine`."""

    generator: RolloutGenerator
    lock: threading.Lock
    work: threading.Condition

    def tell(self, drawn: Guidance, known: Sequence[Tensor | None]) -> Guidance | Told:
        """See `Engine.tell`."""
        ...

    def finish(self, made: Picture | Unfinished) -> Picture:
        """See `Engine.finish`."""
        ...

    def complete(self) -> None:
        """See `Engine.complete`."""
        ...

    def retire(self, clip: Clip) -> None:
        """See `Engine.retire`."""
        ...


class Clip:
    """A clip in an engine: landmarks in, frames out in the same order.

    Made by ``Engine.open``. One thread may put and another get. A context manager that closes it.

    Attributes:
        number: the more, the later it was opened.
        priority: the larger, the more often it is stepped.
        turn: when it is stepped next, on the engine's clock. This and all below is the engine's,
            and changes under its lock.
        state: after the latest frame.
        inputs: the frames that are asked for.
        stepping: whether a step of it is under way.
        error: why there will be no more frames.
    """

    def __init__(
        self, engine: Stepper, state: RolloutState, priority: int, check: Callable[[], object]
    ) -> None:
        self._engine = engine
        self._check = check
        self._first = state
        # The landmarks of what the next frame that is put will refer to.
        self._known = known_of(state)
        self._outputs: deque[tuple[Picture | Unfinished, RolloutState]] = deque()
        # On the engine's lock, so that a clip's state and its queues change together.
        self._changed = threading.Condition(engine.lock)
        # Since when, on the monotonic clock, it does not fit into memory.
        self._misfit: float | None = None
        self._rests_until = 0.0
        self.number = next(_numbers)
        self.priority = priority
        self.turn = 0.0
        self.state = state
        self.inputs: deque[Asked] = deque()
        self.stepping = False
        self.error: BaseException | None = None

    def put(self, landmarks: NDArray[np.floating]) -> None:
        """Ask for the next frame; waits while ``DEPTH`` frames are asked for already.

        The guidance is drawn here, in the caller's thread, and what follows from it alone on a CPU.

        Args:
            landmarks: 68 x 2 of the frame, or joints, in units of the crop.

        Raises:
            ClipClosed: if the clip was closed.
            Exception: what went wrong with the clip, or what ``check`` raised.
        """
        self.put_drawn(self._engine.generator.guidance(landmarks, self._first))

    def put_drawn(self, drawn: Guidance) -> None:
        """As ``put``, with what ``RolloutGenerator.guidance`` gives."""
        self._ask(drawn)

    def put_from(
        self,
        landmarks: NDArray[np.floating],
        picture: Picture,
        own: NDArray[np.floating],
        anew: bool,
    ) -> None:
        """As ``put``, of a frame with a source of its own, which the clip goes on with.

        Args:
            landmarks: 68 x 2 of the frame, in units of the crop.
            picture: that source, as ``RolloutGenerator.start`` takes it.
            own: its landmarks, likewise.
            anew: whether the clip begins with it: no frame before counts.
        """
        generator = self._engine.generator
        if anew:
            start = generator.begin(picture, own)
            source, previous = start.source, start.previous
        else:
            source, previous = generator.source(picture, own), None
        self._ask(generator.guidance_on(landmarks, source), source, previous)

    def _ask(
        self,
        drawn: Guidance,
        source: Reference | None = None,
        previous: tuple[Reference, ...] | None = None,
    ) -> None:
        *before, known = self._known
        if previous is not None:
            before = [frame.landmarks for frame in previous]
        if source is not None:
            known = source.landmarks
        asked = Asked(self._engine.tell(drawn, (*before, known)), source, previous)
        self._known = (*[drawn[1], *before][: len(before)], known)
        self._engine.complete()
        with self._once(lambda: self.error is None and len(self.inputs) < DEPTH):
            self.inputs.append(asked)
            self._engine.work.notify()

    def get(self) -> tuple[Picture, RolloutState]:
        """The next frame, uint8 S S 3 RGB, and the clip's state after it; waits for them.

        Raises:
            ClipClosed: if the clip was closed.
            Exception: what went wrong with the clip, after all frames from before that, or what
                ``check`` raised.
        """
        with self._once(lambda: bool(self._outputs)):
            self._engine.work.notify()
            made, state = self._outputs.popleft()
        return self._engine.finish(made), state

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
        self._engine.retire(self)

    def __enter__(self) -> Clip:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    @contextmanager
    def _once(self, ready: Callable[[], bool]) -> Iterator[None]:
        """Wait until something is so, and keep it so; ends with the clip's error or ``check``'s."""
        while True:
            with self._engine.lock:
                if ready():
                    yield
                    return
                if self.error is not None:
                    raise self.error
                # Not for ever, as the check below is what notices a cancelled job.
                self._changed.wait(POLL)
            self._check()

    # The engine's side, all of it under the engine's lock.

    def is_ready(self, now: float) -> bool:
        """Whether it has a frame to render and room for the result."""
        wanted = bool(self.inputs) and len(self._outputs) < DEPTH
        return wanted and not self.stepping and now >= self._rests_until

    def deliver(self, state: RolloutState, made: Picture | Unfinished) -> None:
        """Take the result of a step, unless the clip has ended meanwhile."""
        self._misfit = None
        if self.error is None:
            self.state = state
            self.inputs.popleft()
            self._outputs.append((made, state))
            self._changed.notify_all()

    def rest(self, now: float) -> bool:
        """Wait a little, as it did not fit into memory; False once it has waited in vain."""
        if self._misfit is None:
            self._misfit = now
        self._rests_until = now + REST
        return now - self._misfit <= PATIENCE

    def fail(self, error: BaseException) -> None:
        """There will be no more frames, unless that is known already."""
        self.error = self.error or error
        self._changed.notify_all()

    def clear(self) -> None:
        """Forget what waits in both queues."""
        self.inputs.clear()
        self._outputs.clear()
