"""Stages that work ahead, in threads of their own, of those that use what they make."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.1
"""Seconds between two looks of a thread that waits at whether it is still wanted."""


@dataclass(frozen=True)
class _End:
    """What comes after the last item."""

    error: BaseException | None


@contextmanager
def ahead(
    items: Iterable[T], depth: int, check: Callable[[], object] = lambda: None
) -> Iterator[Iterator[T]]:
    """Make items in a thread of their own, a few ahead.

    Args:
        items: what is made; a generator is closed in the thread that ran it.
        depth: how many items wait at most.
        check: called while an item is waited for; what it raises ends the wait.

    Yields:
        The items, once. What making them raised comes in the place of the next one.
    """
    # Bounded, so that memory does not grow where the user is slower than the maker.
    made: queue.Queue[T | _End] = queue.Queue(depth)
    unwanted = threading.Event()
    # In this thread's context, so that what is logged there names the same job.
    run = copy_context().run
    thread = threading.Thread(target=run, args=(_make, items, made, unwanted), name="ahead")
    thread.start()
    try:
        yield _taken(made, check)
    finally:
        # The maker may wait for room in the queue; it looks at this flag ten times a second.
        unwanted.set()
        thread.join()


def _make(items: Iterable[T], made: queue.Queue[T | _End], unwanted: threading.Event) -> None:
    error: BaseException | None = None
    try:
        for item in items:
            if not _put(made, item, unwanted):
                break
    except BaseException as caught:  # noqa: BLE001 - it is raised where the item is waited for
        error = caught
    finally:
        if isinstance(items, Generator):
            items.close()
    _put(made, _End(error), unwanted)


def _put(made: queue.Queue[T | _End], item: T | _End, unwanted: threading.Event) -> bool:
    while not unwanted.is_set():
        try:
            made.put(item, timeout=POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False


def _taken(made: queue.Queue[T | _End], check: Callable[[], object]) -> Iterator[T]:
    while True:
        try:
            item = made.get(timeout=POLL_SECONDS)
        except queue.Empty:
            check()
            continue
        if isinstance(item, _End):
            if item.error is not None:
                raise item.error
            return
        yield item
