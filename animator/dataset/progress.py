"""Progress of a run, as numbers that are shown while it goes on."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

_WINDOW_SECONDS = 600.0


@dataclass(frozen=True)
class BatchProgress:
    """A run at one moment."""

    stage: str
    """What is done: "planning", "looking", "making", "writing the index"."""
    total: int = 0
    """Samples of the run."""
    done: int = 0
    """Those that have ended, in whatever way."""
    failed: int = 0
    rejected: int = 0
    running: int = 0
    """Jobs that are with the workers, or wait for one."""
    per_minute: float | None = None
    """Samples a minute, lately; None while that cannot be told."""
    eta: float | None = None
    """Seconds until the last sample has ended, if it goes on so."""


class RecentPace:
    """Samples a minute, of the last ten minutes."""

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def per_minute(self, ended: int) -> float | None:
        """The pace, given how many have ended in all since this began to look."""
        now = time.monotonic()
        if now - self._ends[-1][0] >= 1 or len(self._ends) < 2:
            self._ends.append((now, ended))
        while len(self._ends) > 2 and now - self._ends[1][0] > _WINDOW_SECONDS:
            self._ends.popleft()
        began, before = self._ends[0]
        if ended == before or now == began:
            return None
        return 60 * (ended - before) / (now - began)
