"""The states before the first frame of the clips that a model has begun, for those that follow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future

from torch import Tensor

from gfla.models.rollout import Reference, RolloutState

KEPT_BYTES = 128 * 1024**2
"""Most bytes of states that a model keeps: those of some twenty portraits at 256 pixels."""


class StateCache:
    """States by a key of all that they are made of; the least recently used go first.

    A state is a value that no step changes, so that clips can share it. Threads that ask for the
    same at the same time wait for the first of them to make it.

    Args:
        most: bytes to keep; a state with more is not kept.
    """

    def __init__(self, most: int = KEPT_BYTES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._states: OrderedDict[bytes, Future[RolloutState]] = OrderedDict()
        self._sizes: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._states)

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        with self._lock:
            return sum(self._sizes.values())

    def get(self, key: bytes, make: Callable[[], RolloutState]) -> RolloutState:
        """The state of a key; what making it raises goes to all who wait for it."""
        with self._lock:
            # A future stands for a state that is being made, so that nobody makes it twice.
            known = self._states.get(key)
            if known is not None:
                self._states.move_to_end(key)
            else:
                made = self._states[key] = Future()
        # Outside of the lock: making a state takes longer than anything else here.
        if known is not None:
            return known.result()
        try:
            state = make()
        except BaseException as error:
            with self._lock:
                del self._states[key]
            made.set_exception(error)
            raise
        made.set_result(state)
        self._keep(key, state_bytes(state))
        return state

    def _keep(self, key: bytes, size: int) -> None:
        with self._lock:
            self._sizes[key] = size
            total = sum(self._sizes.values())
            # Those that are being made have no size yet, and stay.
            for old in [key] if size > self._most else [old for old in self._states]:
                if total > self._most and old in self._sizes:
                    del self._states[old]
                    total -= self._sizes.pop(old)


def state_bytes(state: RolloutState) -> int:
    """How many bytes the tensors of a state take."""
    tensors = {id(one): one for part in (state.source, *state.previous) for one in _tensors(part)}
    return sum(one.numel() * one.element_size() for one in tensors.values())


def _tensors(reference: Reference) -> Iterator[Tensor]:
    yield from (reference.image, reference.small, reference.structure)
    if reference.landmarks is not None:
        yield reference.landmarks
    if reference.flow is not None:
        yield reference.flow
    for features in reference.features.values():
        yield features.features
        if features.projection is not None:
            yield features.projection
    for levels in reference.regions.values():
        yield from levels
