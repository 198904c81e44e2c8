"""Holes in a line of samples: stretches that are taken out, so that what follows moves up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

_FADE = Fraction(4, 1000)  # seconds; a joint without it would click


class Holes:
    """Takes stretches out of sound, with a short fade before and after each.

    Args:
        spans: first and last second of each, ascending and apart from each other.
        rate: samples a second.
    """

    def __init__(self, spans: Sequence[tuple[Fraction, Fraction]], rate: int) -> None:
        self._begins = [round(begin * rate) for begin, _ in spans]
        self._ends: list[int] = []
        self._before = [0]  # samples that are taken out before each hole, and in the end
        self._fade = max(1, round(_FADE * rate))
        total = Fraction(0)
        for start, (begin, end) in zip(self._begins, spans, strict=True):
            # Rounded as a sum: the errors of many holes must not add up.
            total += (end - begin) * rate
            self._ends.append(start + round(total) - self._before[-1])
            self._before.append(round(total))

    def seconds_after(self, second: Fraction, rate: int) -> Fraction:
        """Where a time outside of all holes is once they are taken out."""
        return Fraction(self.place(round(second * rate)), rate)

    def place(self, position: int) -> int:
        """Where a sample is once the holes are taken out; of one in a hole, where its end is."""
        number = bisect_right(self._begins, position)
        if not number:
            return position
        inside = max(self._ends[number - 1] - position, 0)
        return position - self._before[number] + inside

    def pieces(
        self, samples: npt.NDArray[np.float32], start: int
    ) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
        """What stays of float32 C N samples from `start` on, and where each piece comes to lie."""
        stop = start + samples.shape[1]
        number = max(bisect_right(self._begins, start) - 1, 0)
        first = start
        while number < len(self._begins) and self._begins[number] < stop:
            begin, end = self._begins[number], self._ends[number]
            if first < begin:
                yield self._faded(samples[:, first - start : begin - start], first)
            first = max(first, end)
            number += 1
        if first < stop:
            yield self._faded(samples[:, first - start :], first)

    def _faded(
        self, samples: npt.NDArray[np.float32], first: int
    ) -> tuple[npt.NDArray[np.float32], int]:
        """A piece between two holes, quieter towards those that are near, and its place."""
        place, count = self.place(first), samples.shape[1]
        number = bisect_right(self._begins, first)
        since = first - self._ends[number - 1] if number else self._fade
        left = self._begins[number] - first if number < len(self._begins) else count + self._fade
        if since >= self._fade and left >= count + self._fade:
            return samples, place
        steps = np.arange(count)
        gain = np.clip(np.minimum(since + steps + 0.5, left - steps - 0.5) / self._fade, 0, 1)
        return (samples * gain).astype(np.float32), place
