from __future__ import annotations

import pytest

from animator.errors import AnimatorError
from animator.web.access import rates
from animator.web.access.rates import Rates


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(one: Rates, who: str, tries: int, per_minute: int = 6) -> int:
    count = 0
    for _ in range(tries):
        try:
            one.take("jobs", who, per_minute)
        except AnimatorError as error:
            assert error.code == "too_many_requests" and error.retryable
        else:
            count += 1
    return count


def test_a_minutes_worth_is_taken_at_once_and_then_evenly() -> None:
    clock = Clock()
    one = Rates(clock)
    assert taken(one, "a", 10) == 6
    clock.now = 10.0
    assert taken(one, "a", 10) == 1
    clock.now = 1000.0
    assert taken(one, "a", 10) == 6


def test_callers_and_kinds_do_not_count_for_each_other() -> None:
    one = Rates(Clock())
    assert taken(one, "a", 10) == 6 and taken(one, "b", 10) == 6
    one.take("uploads", "a", 6)


def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_REMEMBERED", 3)
    one = Rates(Clock())
    for number in range(100):
        one.take("jobs", str(number), 1)
    assert len(one._buckets) == 3
