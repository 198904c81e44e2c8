"""Curves over time, drawn as a picture."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gfla.arrays import Picture

Colour = tuple[int, int, int]

EMPTY: Colour = (232, 228, 216)
"""Behind the times at which there is nothing."""
CUT: Colour = (190, 120, 60)
"""Of the upright lines."""
_PAPER, _TEXT = (255, 255, 255), (85, 85, 85)
_GRID, _ZERO = (226, 226, 226), (150, 150, 150)
_LEFT, _BOTTOM, _TOP, _RIGHT = 64, 30, 10, 14  # pixels around the field
_TYPE = 16
_FINER = 2  # drawn so much larger, then averaged, as Pillow's lines have rough edges
_TICKS = 6
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, eq=False)
class Curve:
    """A value over time.

    Attributes:
        values: T; NaN where there is none, over which no line is drawn.
        colour: of the line.
    """

    values: NDArray[np.floating]
    colour: Colour


def draw_curves(
    seconds: NDArray[np.floating],
    curves: Sequence[Curve],
    width: int,
    height: int,
    *,
    unit: str = "",
    least: float = 1.0,
    from_zero: bool = False,
    cuts: Sequence[float] = (),
) -> Picture:
    """Draw curves with their axes, uint8 height x width x 3.

    Args:
        seconds: T times, rising.
        curves: of T values each.
        width: in pixels.
        height: likewise.
        unit: behind the numbers of the upright axis.
        least: how far that axis reaches at least, so that noise does not look like much.
        from_zero: whether that axis begins at 0.
        cuts: times at which an upright line is drawn.
    """
    chart = _Chart(seconds, curves, width, height, least, from_zero)
    chart.gaps(seconds, curves)
    chart.axes(unit)
    for moment in cuts:
        chart.upright(moment)
    for curve in curves:
        chart.line(seconds, curve)
    return chart.picture()


class _Chart:
    """The field, and where a time and a value lie on it."""

    def __init__(
        self,
        seconds: NDArray[np.floating],
        curves: Sequence[Curve],
        width: int,
        height: int,
        least: float,
        from_zero: bool,
    ) -> None:
        self._size = width, height
        self._image = Image.new("RGB", (_FINER * width, _FINER * height), _PAPER)
        self._draw = ImageDraw.Draw(self._image)
        self._left, self._right = _FINER * _LEFT, _FINER * (width - _RIGHT)
        self._top, self._bottom = _FINER * _TOP, _FINER * (height - _BOTTOM)
        self._first, self._last = (
            float(seconds[0]),
            max(float(seconds[-1]), float(seconds[0]) + 0.04),
        )
        values = np.concatenate([curve.values for curve in curves])
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
        missing = max(least - (high - low), 0.05 * (high - low))
        self._low, self._high = low - missing / 2, high + missing / 2
        if from_zero:
            self._low, self._high = min(low, 0.0), max(high + missing / 2, least)

    def x(self, seconds: float) -> float:
        share = (seconds - self._first) / (self._last - self._first)
        return self._left + share * (self._right - self._left)

    def y(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return self._bottom - share * (self._bottom - self._top)

    def gaps(self, seconds: NDArray[np.floating], curves: Sequence[Curve]) -> None:
        """Shade the times at which no curve has a value."""
        empty = ~np.any([np.isfinite(curve.values) for curve in curves], axis=0)
        changes = np.flatnonzero(np.diff(empty, prepend=False, append=False))
        edges = np.append(seconds, self._last)
        for first, end in changes.reshape(-1, 2).tolist():
            box = [self.x(edges[first]), self._top, self.x(edges[end]), self._bottom]
            self._draw.rectangle(box, EMPTY)

    def axes(self, unit: str) -> None:
        """Draw the grid with its numbers."""
        font = _font(_FINER * _TYPE)
        for value in _ticks(self._low, self._high):
            y = self.y(value)
            colour = _ZERO if value == 0 else _GRID
            self._draw.line([self._left, y, self._right, y], colour, _FINER)
            place = self._left - 8 * _FINER, y
            self._draw.text(place, f"{value:g}{unit}", _TEXT, font, anchor="rm")
        for moment in _ticks(self._first, self._last):
            x = self.x(moment)
            self._draw.line([x, self._bottom, x, self._bottom + 4 * _FINER], _ZERO, _FINER)
            text = f"{moment:g} s"
            self._draw.text((x, self._bottom + 7 * _FINER), text, _TEXT, font, anchor="mt")
        self._draw.line([self._left, self._bottom, self._right, self._bottom], _ZERO, _FINER)

    def upright(self, moment: float) -> None:
        """Mark a time."""
        x = self.x(moment)
        for y in range(self._top, self._bottom, 12 * _FINER):
            self._draw.line([x, y, x, min(y + 6 * _FINER, self._bottom)], CUT, 2 * _FINER)

    def line(self, seconds: NDArray[np.floating], curve: Curve) -> None:
        """Draw a curve, broken where it has no value."""
        run: list[tuple[float, float]] = []
        for moment, value in [
            *zip(seconds.tolist(), curve.values.tolist(), strict=True),
            (0, np.nan),
        ]:
            if np.isfinite(value):
                run.append((self.x(moment), self.y(value)))
                continue
            if len(run) == 1:
                x, y = run[0]
                self._draw.ellipse([x - 3, y - 3, x + 3, y + 3], curve.colour)
            elif run:
                self._draw.line(run, curve.colour, 2 * _FINER, joint="curve")
            run = []

    def picture(self) -> Picture:
        """What was drawn."""
        return np.asarray(self._image.resize(self._size, Image.Resampling.BOX))


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, about as many as can be read."""
    rough = (high - low) / _TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(step for step in _STEPS if step * power >= rough)
    numbers = range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)
    return [round(number * step, 9) for number in numbers]


@functools.lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
