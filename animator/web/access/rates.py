"""Rates: how often a caller may ask for what is work."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from animator.errors import AnimatorError

_REMEMBERED = 10_000
"""Callers that are remembered; of more, those who asked for nothing for longest are forgotten."""


class Rates:
    """Buckets that hold a minute's worth of requests and fill again evenly.

    Args:
        clock: tells the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, what: str, who: str, per_minute: int) -> None:
        """Count a request.

        Args:
            what: is asked for.
            who: asks.
            per_minute: how often that is allowed.

        Raises:
            AnimatorError: `too_many_requests`.
        """
        now = self._clock()
        with self._lock:
            left, before = self._buckets.pop((what, who), (float(per_minute), now))
            left = min(per_minute, left + (now - before) * per_minute / 60)
            allowed = left >= 1
            self._buckets[what, who] = (left - 1 if allowed else left, now)
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        if not allowed:
            message = f"At most {per_minute} requests a minute of the kind {what!r} are taken."
            raise AnimatorError("too_many_requests", message, retryable=True)
