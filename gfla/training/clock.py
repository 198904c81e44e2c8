"""Times of a call of the trainer: how long it has run, waited and takes for a step."""

from __future__ import annotations

import time

from gfla.training.state import Run


class Clock:
    """Times of one call."""

    def __init__(self, run: Run) -> None:
        """Begin to count."""
        self._run = run
        self.start()

    def start(self) -> None:
        """Begin to count."""
        self.begun = self.saved = self._last = time.monotonic()
        self.waited = 0.0
        self.seconds_a_step: float | None = None

    @property
    def minutes(self) -> float:
        """Since the begin."""
        return (time.monotonic() - self.begun) / 60

    @property
    def waiting(self) -> float:
        """Share of the time that went into waiting for data."""
        return self.waited / max(time.monotonic() - self.begun, 1e-9)

    def tick(self, world: int) -> float:
        """Count a step; pictures a second, as an average that forgets."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        # Exponential, a tenth of each new step.
        old = self.seconds_a_step
        self.seconds_a_step = took if old is None else 0.9 * old + 0.1 * took
        config = self._run.config
        pictures = config.batch * config.accumulate * config.block * world
        return pictures / max(self.seconds_a_step, 1e-9)
