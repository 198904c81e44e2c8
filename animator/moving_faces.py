"""The choice of the faces of a picture that move, and of the files that move them, as one text.

    largest           the largest face
    2                 the second from the left
    all               every face
    1=a.mp4;2=b.mp4   these faces, each with a driving file of its own; the others stay
    all;2=b.mp4       every face, the second with a driving file of its own

Faces that have no file of their own are moved by the job's driving video.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from animator.errors import AnimatorError
from animator.values import MAX_LOCATION, refuse, shown_url

Face = Literal["largest"] | int
MOST_FACES = 16
"""Faces of one picture that can move at the same time."""
_ALLOWED = "largest, the number of a face from 1, all, or NUMBER=FILE for each face, parted by ;"
_HIGHEST = 1_000_000
# A semicolon parts only where an entry follows, as names of files may have one.
_BETWEEN = re.compile(r"\s*;\s*(?=$|all\s*(?:;|$)|[0-9]+\s*=)", re.ASCII)
_ENTRY = re.compile(r"([0-9]{1,7})\s*=\s*(.+)", re.ASCII | re.DOTALL)


@dataclass(frozen=True)
class MovingFaces:
    """Which faces of a picture move, and what moves them.

    Attributes:
        one: the only face that moves; None where it may be several.
        every: whether those move, too, that have no file of their own.
        files: driving files by the number of the face that each moves, in the order given.
    """

    one: Face | None = "largest"
    every: bool = False
    files: tuple[tuple[int, str], ...] = ()

    @classmethod
    def parse(cls, given: object, name: str = "face") -> MovingFaces:
        """The choice that a text or a number means.

        Args:
            given: as the module describes it.
            name: what the error calls it.

        Raises:
            AnimatorError: `invalid_option`.
        """
        if type(given) is int and 1 <= given <= _HIGHEST:
            return cls(given)
        if not isinstance(given, str) or len(given) > MOST_FACES * MAX_LOCATION:
            raise refuse(name, _shown(given), _ALLOWED)
        text = given.strip()
        if text == "largest":
            return cls()
        if text.isascii() and text.isdigit() and len(text) < 8:
            return cls.parse(int(text), name)
        return cls._parse_several(text, name)

    @classmethod
    def _parse_several(cls, text: str, name: str) -> MovingFaces:
        every, files = False, dict[int, str]()
        for part in filter(None, _BETWEEN.split(text)):
            if part == "all":
                every = True
                continue
            entry = _ENTRY.fullmatch(part)
            if entry is None or not 1 <= int(entry[1]) <= _HIGHEST:
                raise refuse(name, _shown(text), _ALLOWED)
            number = int(entry[1])
            if number in files:
                message = f"{name} gives face {number} twice; each face has one driving file."
                raise AnimatorError("invalid_option", message)
            files[number] = entry[2]
        if not every and not files:
            raise refuse(name, _shown(text), _ALLOWED)
        if len(files) > MOST_FACES:
            message = f"{name} names {len(files)} faces; at most {MOST_FACES} can move at once."
            raise AnimatorError("invalid_option", message)
        return cls(None, every, tuple(files.items()))

    @property
    def several(self) -> bool:
        """Whether all or some faces are asked for, instead of the largest or one."""
        return self.one is None

    @property
    def first_file(self) -> str | None:
        """What stands for the job's driving video where none is needed."""
        return self.files[0][1] if self.files and not self.every else None

    @property
    def text(self) -> Literal["largest"] | int | str:
        """The choice as `parse` reads it."""
        if self.one is not None:
            return self.one
        entries = [f"{number}={file}" for number, file in self.files]
        return ";".join(["all"] * self.every + entries)

    def located(self, locate: Callable[[str], str]) -> MovingFaces:
        """The same choice with what is given for each of its files in that file's place."""
        return replace(self, files=tuple((number, locate(file)) for number, file in self.files))

    def numbers(self, there: int) -> list[int]:
        """The numbers of the faces that move, from the left, where several are asked for.

        Args:
            there: how many faces the picture shows.

        Raises:
            AnimatorError: `face_not_found` for a number that the picture does not have,
                `invalid_option` where more than `MOST_FACES` are to move, or where the driving
                video would move none of them.
        """
        named = sorted(number for number, _ in self.files)
        if named and named[-1] > there:
            count = "1 face" if there == 1 else f"{there} faces"
            message = f"Face {named[-1]} was asked for, but the picture shows {count}."
            raise AnimatorError("face_not_found", message)
        if not self.every:
            return named
        if len(named) == there:
            message = (
                f"Each of the picture's {there} faces has a driving file of its own, so that the "
                "driving video would move none; leave out all, and the video."
            )
            raise AnimatorError("invalid_option", message)
        if there > MOST_FACES:
            message = (
                f"The picture shows {there} faces; at most {MOST_FACES} can move at once. Name "
                "those that shall move, each with its file."
            )
            raise AnimatorError("invalid_option", message)
        return list(range(1, there + 1))


def _shown(given: object) -> object:
    """A wrong value as messages show it: short, and without users and passwords of URLs."""
    if not isinstance(given, str):
        return given
    shown = ";".join(_without_user(part) for part in given.split(";"))
    return shown if len(shown) <= 200 else f"{shown[:200]}..."


def _without_user(part: str) -> str:
    number, equals, file = part.partition("=")
    return f"{number}{equals}{shown_url(file.strip())}" if equals else shown_url(part.strip())
