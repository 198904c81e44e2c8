"""The engine of a model, which steps the clips of all jobs of a process together.

Each clip sees a queue in and a queue out.

Frames of one clip are serial, clips are not. A thread of the loaded model picks clips that have a
frame to render and room for its result, steps them as one batch, and hands the results out. A clip
whose producer or consumer is slow is merely not picked; one that fails, fails alone.

On a CPU a batch takes longer than its frames one after another, and rounds differently: there each
step is of one clip, exactly as if it were alone, and as many threads do so as there are cores for.
What of a step no other step waits for is done there by those who ask for frames and take them.

Who comes next is stride scheduling: each step puts a clip's turn off by a stride, and the clips
with the least turns are picked. Within a priority that is the least recently stepped first; a clip
of the next priority is stepped ``SHARE`` times as often, so that none waits for ever.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import torch

from animator.animation.rollout.batches import BatchStep
from animator.animation.rollout.clip import POLL, Clip, ClipClosed
from animator.animation.rollout.generator import Guidance, RolloutGenerator, Unfinished
from animator.errors import AnimatorError
from animator.processor import cores
from gfla.arrays import Picture
from gfla.models.rollout import RolloutState, Told

SHARE = 8
"""Steps of a clip for one of a clip of the next lower priority, where not all fit."""
CUDA_SLOTS = 32
"""Clips in one batch on CUDA unless ``ANIMATOR_SLOTS`` says otherwise."""
RELIEF = 60.0
"""Seconds after which a batch that was halved for want of memory may double again."""

Rendered = tuple[RolloutState, Picture | Unfinished]
"""A clip's state after a frame, and the frame."""

_log = logging.getLogger(__name__)
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()
_registering = threading.Lock()


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

    def __add__(self, other: Counters) -> Counters:
        """Both together."""
        pairs = zip(astuple(self)[2:], astuple(other)[2:], strict=True)
        return Counters(self.model, self.device, *(one + two for one, two in pairs))


class Engine:
    """Steps the open clips of one model in threads of its own, which live while there are any.

    Args:
        generator: the loaded model.
        slots: most clips that are stepped at the same moment: on CUDA in one batch, on a CPU each
            in a thread.
        batched: whether to step them as a batch; where not given, as the device has it.

    Attributes:
        lock: held for all that its clips share with it.
        work: told when there may be a clip to step.
    """

    def __init__(
        self, generator: RolloutGenerator, slots: int, *, batched: bool | None = None
    ) -> None:
        self.generator = generator
        self.slots = slots
        if batched is None:
            batched = generator.device.type == "cuda"
        self._batches = BatchStep(generator, slots) if batched else None
        # Width: clips that one thread steps at once; limit: as many of them as fit into memory now.
        self._limit = self._width = slots if batched else 1
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        # Weak: a clip that is forgotten without being closed must not keep its place for ever.
        self._clips: weakref.WeakSet[Clip] = weakref.WeakSet()
        self._threads = 0
        self._shrunk = 0.0
        self._clock = 0.0
        self._steps = self._frames = self._halvings = self._failures = 0
        self._seconds = 0.0
        with _registering:
            _engines.add(self)

    def open(
        self,
        state: RolloutState,
        priority: int = 0,
        check: Callable[[], object] = lambda: None,
    ) -> Clip:
        """Admit a clip.

        Args:
            state: before its first frame, of ``RolloutGenerator.start`` or of an earlier step.
            priority: the larger, the more often it is stepped where there is not room for all.
            check: called about ten times a second while ``put`` or ``get`` waits, in the thread
                that waits; what it raises, such as JobCancelled, ends the wait.

        Returns:
            The clip, a context manager that closes it.
        """
        self.complete()
        clip = Clip(self, state, priority, check)
        with self.lock:
            # A clip that comes late starts where the others are, instead of catching up on its own.
            clip.turn = self._clock
            self._clips.add(clip)
            while self._threads < self.slots // self._width:
                # Not a daemon: one that is inside torch as the interpreter ends would abort it.
                threading.Thread(target=self._run, name="engine").start()
                self._threads += 1
        return clip

    def counters(self) -> Counters:
        """What it has done so far."""
        with self.lock:
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

    def retire(self, clip: Clip) -> None:
        """Take a clip out; a step that is under way is its last."""
        with self.lock:
            self._clips.discard(clip)
            clip.fail(ClipClosed("the clip is closed"))
            clip.clear()
            self.work.notify()

    def tell(self, drawn: Guidance, known: Sequence[torch.Tensor | None]) -> Guidance | Told:
        """What a step is to be told of a frame, made in the thread of whoever asks for it.

        Args:
            drawn: guidance of the frame.
            known: points of its references, as ``known_of`` gives them.
        """
        return drawn if self._batches else self.generator.tell(drawn, known)

    def finish(self, made: Picture | Unfinished) -> Picture:
        """The frame that a step made, finished in the thread of whoever takes it."""
        return self.generator.finish(made) if isinstance(made, Unfinished) else made

    def complete(self) -> None:
        """Wait for the calling thread's tensors: the engine's thread works on another stream."""
        if self.generator.device.type == "cuda":
            torch.cuda.current_stream(self.generator.device).synchronize()

    def _run(self) -> None:
        try:
            while batch := self._next():
                self._advance(batch)
                with self.lock:
                    for clip in batch:
                        clip.stepping = False
                    self.work.notify()
                del batch, clip  # while it waits, the thread holds no clip
        except BaseException as error:  # a fault of ours; but nobody is to wait for ever
            with self.lock:
                self._end_thread(error)
            raise

    def _next(self) -> list[Clip]:
        """The clips to step next; waits for some, and gives none once the thread is to end."""
        with self.lock:
            while self._clips and threading.main_thread().is_alive():
                if batch := self._pick():
                    return batch
                self.work.wait(POLL)
            self._end_thread(ClipClosed("the interpreter ends"))
            return []

    def _end_thread(self, reason: BaseException) -> None:
        for clip in list(self._clips):
            self._end(clip, reason)
        self._threads -= 1

    def _pick(self) -> list[Clip]:
        now = time.monotonic()
        # After a while without trouble, try twice as many again.
        if self._limit < self._width and now - self._shrunk > RELIEF:
            self._limit, self._shrunk = min(2 * self._limit, self._width), now
        # Those with the least turns first.
        ready = [clip for clip in self._clips if clip.is_ready(now)]
        if ready:
            ready.sort(key=lambda clip: (clip.turn, clip.number))
            # The clock never goes back, even where a clip with an old turn becomes ready.
            self._clock = max(self._clock, ready[0].turn)
        batch = ready[: self._limit]
        for clip in batch:
            clip.stepping = True
        return batch

    def _advance(self, batch: list[Clip]) -> None:
        """Step clips as one batch; where that fails, each alone, so that one does not harm all."""
        with self.lock:
            batch = [clip for clip in batch if clip.error is None]
            asked = [clip.inputs[0] for clip in batch]
            states = [one.state(clip.state) for one, clip in zip(asked, batch, strict=True)]
        if not batch:
            return
        # Not under the lock: meanwhile clips are opened, asked for frames and closed.
        began = time.monotonic()
        error: Exception | None = None
        try:
            results = self._rendered(states, [one.drawn for one in asked])
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
            with self.lock:
                if error:
                    self._end(batch[0], error)
                    return
                self._steps += 1
                self._frames += len(batch)
                self._seconds += time.monotonic() - began
                for clip, (state, picture) in zip(batch, results, strict=True):
                    # A stride is 1 for priority 0 and SHARE times shorter for each priority above
                    # it.
                    clip.turn = max(clip.turn, self._clock) + SHARE**-clip.priority
                    clip.deliver(state, picture)

    def _rendered(self, states: list[RolloutState], frames: list[Any]) -> Sequence[Rendered]:
        if self._batches:
            return self._batches(states, frames)
        pairs = zip(states, frames, strict=True)
        return [self.generator.advance(state, told) for state, told in pairs]

    def _out_of_memory(self, batch: list[Clip]) -> None:
        """Go on with half the batch; a clip that does not fit even alone waits for better times."""
        _log.warning("a batch of %d clips does not fit into the device's memory", len(batch))
        if self._batches:
            self._batches.forget()
        with self.lock:
            now = time.monotonic()
            self._halvings += 1
            # Half of what did not fit; RELIEF seconds from now it may double.
            self._limit, self._shrunk = max(1, len(batch) // 2), now
            if len(batch) == 1 and not batch[0].rest(now):
                message = "The device has not enough memory for this job."
                self._end(batch[0], AnimatorError("out_of_memory", message, retryable=True))

    def _end(self, clip: Clip, error: BaseException) -> None:
        self._failures += 1
        self._clips.discard(clip)
        clip.fail(error)


def counters() -> list[Counters]:
    """What the engines of this process have done so far, by model and device."""
    with _registering:
        engines = list(_engines)
    found: dict[tuple[str, str], Counters] = {}
    for engine in engines:  # one model can be there in two precisions
        one = engine.counters()
        key = (one.model, one.device)
        found[key] = found[key] + one if key in found else one
    return list(found.values())


def fitting_slots(device: torch.device) -> int:
    """How many clips a device steps well at the same moment, unless the settings say."""
    if device.type == "cuda":
        return CUDA_SLOTS
    return max(1, cores() // torch.get_num_threads())
