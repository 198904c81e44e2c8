"""Several clips of a model as one batch: their states and inputs stacked in fixed memory.

For devices where a batch takes less time than its frames one after another. On CUDA the whole step
is a graph, captured once for each of a few batch sizes and replayed: one launch instead of some
hundreds. A CPU gains nothing by batches and rounds differently in them, so that there it is tests
that use this.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from animator.animation.rollout.generator import Guidance, RolloutGenerator
from gfla.models.rollout import (
    Reference,
    RolloutState,
    Told,
    known_of,
    overwrite,
    split,
    stack,
)
from gfla.ops.ranges import to_bytes

Stepped = tuple[RolloutState, NDArray[np.uint8]]
"""A clip's state after a frame, and the frame: uint8 S S 3 RGB."""
WARM_UP = 3
"""Steps before a capture, in which libraries choose algorithms and take their memory."""
Part = TypeVar("Part")
_log = logging.getLogger(__name__)


class BatchStep:
    """Steps clips of a model as batches, one for each size of pictures among them.

    What the step before has left in place is not stacked again: nothing where the clips are the
    same, no sources where only their states are others.

    Args:
        generator: the model.
        slots: most clips in one batch.
    """

    def __init__(self, generator: RolloutGenerator, slots: int) -> None:
        self._generator = generator
        self._slots = slots
        self._cuda = generator.device.type == "cuda"
        self._pool = torch.cuda.graph_pool_handle() if self._cuda else None
        self._stream = torch.cuda.Stream(generator.device) if self._cuda else None
        self._batches: dict[tuple[tuple[int, ...], int], _Batch] = {}

    def __call__(self, states: Sequence[RolloutState], frames: Sequence[Guidance]) -> list[Stepped]:
        """Render the next frame of each clip, as ``RolloutGenerator.step`` does of one.

        Args:
            states: of N clips.
            frames: the guidance of each one's frame.

        Raises:
            torch.OutOfMemoryError: the states are then as before.
        """
        sizes = [tuple(state.source.image.shape[-2:]) for state in states]
        results: dict[int, Stepped] = {}
        # Clips whose pictures have one size make one batch; results come back in the order given.
        context = torch.cuda.stream(self._stream) if self._stream else nullcontext()
        with context, self._generator.arithmetic():
            for size in dict.fromkeys(sizes):
                chosen = [index for index, other in enumerate(sizes) if other == size]
                group = [states[index] for index in chosen]
                batch = self._batch(size, group)
                stepped = batch.step(group, [frames[index] for index in chosen])
                results.update(zip(chosen, stepped, strict=True))
        return [results[index] for index in range(len(states))]

    def forget(self) -> None:
        """Free all memory that is kept between steps."""
        self._batches.clear()
        if self._cuda:
            torch.cuda.empty_cache()

    def _batch(self, size: tuple[int, ...], states: list[RolloutState]) -> _Batch:
        """The batch for these clips: of few sizes if captured, which costs time and memory."""
        count = len(states)
        if self._pool:
            # The next power of two: graphs of six sizes serve 1 to 32 clips.
            count = min(1 << (count - 1).bit_length(), self._slots)
        key = (size, count if self._pool else 0)
        batch = self._batches.get(key)
        if batch is None or batch.count != count:
            batch = self._batches[key] = _Batch(self._generator, states, count, self._pool)
        return batch


class _Batch:
    """Clips that step together: stacked states, in memory that stays where it is.

    Args:
        generator: the model.
        states: of clips of these sizes; they are not kept.
        count: places; where there are fewer clips, the others repeat the first.
        pool: of memory that graphs share; None runs without a graph.
    """

    def __init__(
        self,
        generator: RolloutGenerator,
        states: Sequence[RolloutState],
        count: int,
        pool: Any,
    ) -> None:
        self._network, self._truncates = generator.network, generator.truncates
        self.count = count
        sources, previous = self._stackable(states)
        self._state = RolloutState(stack(sources), tuple(stack(frames) for frames in previous))
        source = self._state.source
        self._structure = source.structure.clone()
        self._landmarks = None if source.landmarks is None else source.landmarks.clone()
        self._prior = self._prior_now()
        _, _, height, width = source.image.shape
        self._pictures = source.image.new_empty((count, height, width, 3), dtype=torch.uint8)
        # Weak, so that clips that have ended do not stay in memory.
        self._sources: list[weakref.ref[Reference]] = []
        self._given: list[weakref.ref[RolloutState]] = []
        self._graph = None if pool is None else self._captured(pool)

    def step(self, states: Sequence[RolloutState], frames: Sequence[Guidance]) -> list[Stepped]:
        """Render the next frame of each clip, of at most as many as there are places."""
        in_place = _are(self._given, states)
        self._given = []  # should anything fail from here, what is in place is of no use
        if not in_place:
            self._load(states)
        # Inputs into the memory that the graph reads.
        structures, landmarks = zip(*self._filled(frames), strict=True)
        self._structure.copy_(torch.cat(structures))
        if self._landmarks is not None:
            self._landmarks.copy_(torch.cat(landmarks))
        prior = self._prior_now()
        if self._prior is not None and prior is not None:
            self._prior.copy_(prior)
        # The step itself, and its results out of the memory that the next one overwrites.
        if self._graph is None:
            self._work()
        else:
            self._graph.replay()
        apart = [split(one, len(states)) for one in self._state.previous]
        previous = list(zip(*apart, strict=True)) or [()] * len(states)
        pictures = self._pictures.to("cpu", copy=True).numpy()  # waits for all of the above
        stepped = [
            RolloutState(state.source, latest)
            for state, latest in zip(states, previous, strict=True)
        ]
        self._given = [weakref.ref(state) for state in stepped]
        return list(zip(stepped, pictures, strict=False))

    def _load(self, states: Sequence[RolloutState]) -> None:
        """Bring in the clips' states; their sources only where they are others."""
        sources, previous = self._stackable(states)
        if not _are(self._sources, sources):
            overwrite(self._state.source, stack(sources))
            self._sources = [weakref.ref(source) for source in sources]
        for old, frames in zip(self._state.previous, previous, strict=True):
            overwrite(old, stack(frames))

    def _work(self) -> None:
        """The step in place, from inputs and state to pictures and state."""
        told = Told(self._structure, self._landmarks, self._prior)
        state, prediction = self._network.advance(self._state, told)
        image = prediction.image
        if prediction.regions is None:
            finished = self._network.finish(image, self._landmarks, self._state.source)
            image = image if finished is None else finished.picture
        self._pictures.copy_(to_bytes(image, self._truncates).permute(0, 2, 3, 1))
        # The oldest first: each frame but the latest is the one that stood before it.
        pairs = list(zip(self._state.previous, state.previous, strict=True))
        for old, new in reversed(pairs):
            overwrite(old, new)

    def _prior_now(self) -> torch.Tensor | None:
        return self._network.prior(self._structure, self._landmarks, known_of(self._state))

    def _captured(self, pool: Any) -> torch.cuda.CUDAGraph | None:
        """The step as a graph, or None where it cannot be one."""
        try:
            for _ in range(WARM_UP):
                self._work()
            graph = torch.cuda.CUDAGraph()
            stream = torch.cuda.current_stream()
            # Other threads go on allocating memory meanwhile.
            with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                self._work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            _log.warning("steps of this model run without a CUDA graph: %s", error)
            return None
        return graph

    def _stackable(
        self, states: Sequence[RolloutState]
    ) -> tuple[list[Reference], list[tuple[Reference, ...]]]:
        """The sources of the clips in all places, and so for each of the previous frames."""
        filled = self._filled(states)
        previous = zip(*(state.previous for state in filled), strict=True)
        return [state.source for state in filled], list(previous)

    def _filled(self, parts: Sequence[Part]) -> list[Part]:
        return [*parts, *[parts[0]] * (self.count - len(parts))]


def _are(known: Sequence[weakref.ref[Part]], now: Sequence[Part]) -> bool:
    """Whether these are the very same objects in the same order."""
    return len(known) == len(now) and all(a() is b for a, b in zip(known, now, strict=True))
