"""One large picture of rows of smaller ones, with titles, captions and legends.

Made like a figure of a paper: a white page, one grid for everything, words in TrueType.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from animator.faces.crop import resize
from gfla.arrays import Picture

Colour = tuple[int, int, int]

TILE = 320
"""Side of the square that a tile's picture fits into, in pixels."""
COLUMNS = 4
_LABEL = 232
_GAP = 16
_MARGIN = 36
WIDTH = 2 * _MARGIN + _LABEL + COLUMNS * (TILE + _GAP)
"""Of every sheet, in pixels."""

WIDE = COLUMNS * (TILE + _GAP) - _GAP
"""Pixels that a picture across all columns has."""

_BLACK, _GREY, _LINE, _PAPER = (20, 20, 20), (85, 85, 85), (205, 205, 205), (255, 255, 255)
_HEAD, _ROW, _NAME, _TEXT = 34, 24, 20, 17  # sizes of type
_LEADING = 1.3
_DOT = 7  # radius of a mark


@dataclass(frozen=True)
class Mark:
    """A coloured dot on a tile's picture.

    Attributes:
        x: in units of the picture, 0 to 1 from edge to edge.
        y: likewise.
        colour: RGB.
        radius: in pixels of the sheet.
    """

    x: float
    y: float
    colour: Colour
    radius: float = _DOT


@dataclass(frozen=True, eq=False)
class SheetTile:
    """A picture with its words.

    Attributes:
        picture: uint8 H W 3 of any size.
        title: a few words.
        caption: a sentence or two.
        smooth: whether enlarging may round off the picture's own pixels.
        marks: dots on it.
    """

    picture: Picture
    title: str
    caption: str
    smooth: bool = True
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, eq=False)
class Legend:
    """What colours mean.

    Attributes:
        picture: drawn as it is.
        caption: a few words.
        ends: written under the picture's left and right edge.
    """

    picture: Picture
    caption: str
    ends: tuple[str, str] = ("", "")


@dataclass(frozen=True, eq=False)
class Row:
    """Tiles side by side, with words and legends to the left of them.

    Attributes:
        title: a few words.
        text: a sentence or two.
        tiles: those beyond ``COLUMNS`` go on in the next line.
        legends: below the text.
        keys: colours and what they stand for, below the legends.
        wide: a picture above the tiles, ``WIDE`` across, drawn as it is.
    """

    title: str
    text: str
    tiles: Sequence[SheetTile]
    legends: Sequence[Legend] = ()
    keys: Sequence[tuple[Colour, str]] = ()
    wide: Picture | None = None


def draw_sheet(title: str, lines: Sequence[str], rows: Sequence[Row]) -> Picture:
    """Draw a sheet.

    Args:
        title: at the head.
        lines: below it, smaller.
        rows: from top to bottom.

    Returns:
        uint8 H ``WIDTH`` 3, RGB.
    """
    parts = [_head(title, lines), *(_row(row) for row in rows)]
    bottom = np.full((_MARGIN - _GAP, WIDTH, 3), _PAPER, np.uint8)
    return np.concatenate([*(_cut(part) for part in parts), bottom])


class _Strip:
    """A part of the page as wide as the page, whose height is known when all is drawn on it."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH, height), _PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.bottom = 0

    def words(
        self,
        text: str,
        x: int,
        y: int,
        size: int,
        *,
        width: int = WIDTH,
        colour: Colour = _BLACK,
        bold: bool = False,
    ) -> int:
        """Write, broken into lines; returns where the next words may begin."""
        for line in _broken(readable(text), size, width):
            # The font has one weight only; twice, half a pixel apart, is bold.
            for shift in (0, 0.4, 0.8) if bold else (0,):
                self.draw.text((x + shift, y), line, colour, _font(size))
            y += round(_LEADING * size)
        self.bottom = max(self.bottom, y)
        return y

    def paste(self, picture: Picture, x: int, y: int) -> int:
        """Put a picture; returns where it ends."""
        self.image.paste(Image.fromarray(picture), (x, y))
        self.bottom = max(self.bottom, y + picture.shape[0])
        return y + picture.shape[0]


def readable(text: str) -> str:
    """The text with escapes for what the font does not have or what would break the line."""
    return "".join(
        char
        if char.isprintable() and (char.isascii() or char == "·")  # it has hardly any others
        else char.encode("unicode_escape").decode()
        for char in text
    )


def _cut(strip: _Strip) -> Picture:
    return np.asarray(strip.image)[: strip.bottom + _GAP]


def _head(title: str, lines: Sequence[str]) -> _Strip:
    width = WIDTH - 2 * _MARGIN
    strip = _Strip(2000)
    y = strip.words(title, _MARGIN, _MARGIN - 8, _HEAD, width=width, bold=True)
    for line in lines:
        y = strip.words(line, _MARGIN, y, _TEXT, width=width, colour=_GREY)
    return strip


def _row(row: Row) -> _Strip:
    lines = -(-len(row.tiles) // COLUMNS)
    high = 0 if row.wide is None else row.wide.shape[0]
    strip = _Strip(1200 + high + lines * 2 * TILE)
    strip.draw.line([(_MARGIN, 0), (WIDTH - _MARGIN, 0)], _LINE, 2)
    top = _GAP + 4
    _label(strip, row, top)
    if row.wide is not None:
        top = strip.paste(row.wide, _MARGIN + _LABEL + _GAP, top) + _GAP
    for first in range(0, len(row.tiles), COLUMNS):
        ends = [
            _tile(strip, tile, _MARGIN + _LABEL + _GAP + column * (TILE + _GAP), top)
            for column, tile in enumerate(row.tiles[first : first + COLUMNS])
        ]
        top = max(ends) + _GAP
    return strip


def _label(strip: _Strip, row: Row, y: int) -> None:
    width = _LABEL - _GAP
    y = strip.words(row.title, _MARGIN, y - 4, _ROW, width=width, bold=True) + 4
    y = strip.words(row.text, _MARGIN, y, _TEXT, width=width, colour=_GREY)
    for legend in row.legends:
        y = strip.paste(legend.picture, _MARGIN, y + 12) + 4
        left, right = legend.ends
        if left or right:
            strip.words(left, _MARGIN, y, _TEXT, colour=_GREY)
            edge = _MARGIN + legend.picture.shape[1]
            x = round(edge - _font(_TEXT).getlength(right))
            y = strip.words(right, x, y, _TEXT, colour=_GREY)
        y = strip.words(legend.caption, _MARGIN, y, _TEXT, width=width, colour=_GREY)
    y += 8
    for colour, name in row.keys:
        spot = np.full((2 * _DOT + 6, 2 * _DOT + 6, 3), _PAPER, np.uint8)
        strip.paste(_marked(spot, [Mark(0.5, 0.5, colour)]), _MARGIN, y)
        y = strip.words(name, _MARGIN + 28, y, _TEXT, colour=_GREY) + 4


def _tile(strip: _Strip, tile: SheetTile, x: int, y: int) -> int:
    picture = _marked(_fitted(tile.picture, tile.smooth), tile.marks)
    height, width = picture.shape[:2]
    strip.paste(picture, x + (TILE - width) // 2, y + (TILE - height) // 2)
    strip.draw.rectangle([x - 1, y - 1, x + TILE, y + TILE], outline=_LINE)
    y = strip.words(tile.title, x, y + TILE + 8, _NAME, width=TILE, bold=True)
    return strip.words(tile.caption, x, y, _TEXT, width=TILE, colour=_GREY)


def _fitted(picture: Picture, smooth: bool) -> Picture:
    scale = TILE / max(picture.shape[:2])
    height, width = (max(round(side * scale), 1) for side in picture.shape[:2])
    # The values of a map are told apart by its single places.
    return resize(picture, width, height, cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST)


def _marked(picture: Picture, marks: Sequence[Mark]) -> Picture:
    drawn = np.ascontiguousarray(picture).copy()
    height, width = picture.shape[:2]
    for mark in marks:
        centre = (round(16 * (mark.x * width - 0.5)), round(16 * (mark.y * height - 0.5)))
        # A dark rim and a white one set the dot apart from whatever is under it.
        rim = min(mark.radius / 2, 1.5)
        for growth, colour in ((rim + 1, _BLACK), (rim, _PAPER), (0, mark.colour)):
            radius = round(16 * (mark.radius + growth))
            cv2.circle(drawn, centre, radius, colour, cv2.FILLED, cv2.LINE_AA, 4)
    return drawn


def _broken(text: str, size: int, width: int) -> Iterator[str]:
    """The text in lines of at most ``width`` pixels; a word that is longer is broken, too."""
    font = _font(size)
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if font.getlength(joined) <= width:
            line = joined
            continue
        if line:
            yield line
        line = word
        while font.getlength(line) > width:
            ends = range(1, len(line))
            fit = max(bisect.bisect(ends, width, key=lambda n: ceil(font.getlength(line[:n]))), 1)
            yield line[:fit]
            line = line[fit:]
    if line:
        yield line


@functools.lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
