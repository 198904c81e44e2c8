"""A stage that works ahead in a thread: order, bounds, errors, and an end in every case."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from animator.animation.ahead import ahead
from animator.errors import JobCancelled


def running() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_items_come_in_order_and_only_a_few_ahead() -> None:
    made = 0

    def count() -> Iterator[int]:
        nonlocal made
        for number in range(50):
            made += 1
            yield number

    with ahead(count(), 2) as items:
        for taken, number in enumerate(items):
            assert number == taken
            time.sleep(0.002)
            assert made <= taken + 1 + 2 + 1  # taken, waiting, and one that finds no room
    assert made == 50
    assert running() == 0


def test_an_error_comes_where_the_item_would() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with ahead(broken(), 4) as items:
        assert next(items) == 1
        with pytest.raises(ZeroDivisionError):
            next(items)


def test_a_wait_ends_when_the_job_is_to_stop() -> None:
    closed = threading.Event()
    release = threading.Event()

    def slow() -> Iterator[int]:
        try:
            release.wait(20)
            yield 1
        finally:
            closed.set()

    def check() -> None:
        release.set()
        raise JobCancelled

    with pytest.raises(JobCancelled), ahead(slow(), 1, check) as items:
        next(items)
    assert closed.is_set()
    assert running() == 0


def test_items_that_nobody_wants_are_not_made() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)

    with ahead(endless(), 1) as items:
        assert next(items) == 1
    assert running() == 0
