"""The look at a file that a stranger has sent, in a child process with limits.

What the child says is checked as if the file itself had said it.
"""

from __future__ import annotations

import binascii
import threading
from base64 import b64decode
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import anyio
from anyio import to_thread
from anyio.lowlevel import RunVar

from animator.checks.report import Crop, Finding, Kind, SeenFace, UploadFacts
from animator.errors import CODES, AnimatorError
from animator.sandbox import Ended, Message, SandboxLimits, run_limited
from animator.settings import Settings
from animator.web.files.media_types import MEDIA_TYPES

T = TypeVar("T")

LOOK_TARGET = "animator.checks.upload:look"
STILL_TARGET = "animator.checks.upload:still"
CHILDREN = 2
"""How many children look at files at once."""
_MOST_WAITING = 64
_MOST_OF_ONE = 16  # caller, so that one with many files leaves room for others
_WAIT_SECONDS = 120.0
_MOST_TEXT = 1000
_MOST_ENTRIES = 64
_ERRORS = {"crashed": "check_crashed", "timeout": "check_timeout", "memory": "out_of_memory"}


@dataclass(frozen=True)
class Looked:
    """What was found in a file, and a JPEG of it."""

    facts: UploadFacts
    thumbnail: bytes


def look_at(path: Path, settings: Settings, *, target: str = LOOK_TARGET) -> Looked:
    """Look at one file, whose name and suffix mean nothing.

    Args:
        path: the file.
        settings: how long, with how much memory, and what is refused.
        target: what runs in the child.

    Raises:
        AnimatorError: why it is refused, see `animator.checks.upload.look_at`; `check_crashed`,
            `check_timeout`, `out_of_memory` for what it did to the child; `too_many_requests` if
            too many others wait.
    """
    answer = _ask(target, path, settings)
    try:
        return Looked(read_facts(answer["facts"]), _jpeg(answer["thumbnail"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _death(Ended("crashed", "", ())) from None


def still_of(path: Path, settings: Settings, *, target: str = STILL_TARGET) -> bytes:
    """A JPEG of the frame in the middle of a video; errors as of `look_at`."""
    answer = _ask(target, path, settings)
    try:
        return _jpeg(answer["still"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _death(Ended("crashed", "", ())) from None


def read_facts(values: Mapping[str, Any]) -> UploadFacts:
    """The facts of a file from plain values that anybody may have written.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: if they make no sense.
    """
    if values["kind"] not in get_args(Kind) or values["format"] not in MEDIA_TYPES:
        raise ValueError("no kind of file")
    seconds, frames = values["seconds"], values["frames"]
    return UploadFacts(
        kind=values["kind"],
        format=values["format"],
        width=_whole(values["width"], 1),
        height=_whole(values["height"], 1),
        seconds=None if seconds is None else _number(seconds),
        frames=None if frames is None else _whole(frames, 0),
        has_audio=values["has_audio"] is True,
        faces=tuple(map(_face, values["faces"][:_MOST_ENTRIES])),
        findings=tuple(map(_finding, values["findings"][:_MOST_ENTRIES])),
        shown_at=_number(values["shown_at"]),
    )


class Turnstile:
    """Lets so many in at once; others wait in line, not too many and not for too long.

    Args:
        places: how many are in at once.
        waiting: how many may wait.
        seconds: how long one waits at most.
    """

    def __init__(self, places: int, waiting: int, seconds: float) -> None:
        self._free, self._waiting, self._seconds = places, waiting, seconds
        self._line: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be in while the block runs.

        Raises:
            AnimatorError: `too_many_requests` if the line is too long, or does not move.
        """
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def _enter(self) -> None:
        ticket = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if len(self._line) >= self._waiting:
                raise _busy()
            self._line.append(ticket)
        if ticket.wait(self._seconds):
            return
        with self._lock:
            # The turn may have come between the last moment and this one.
            if ticket.is_set():
                return
            self._line.remove(ticket)
        raise _busy()

    def _leave(self) -> None:
        with self._lock:
            if self._line:
                self._line.popleft().set()
            else:
                self._free += 1


TURNSTILE = Turnstile(CHILDREN, _MOST_WAITING, _WAIT_SECONDS)
"""What all looks of this process go through, those of `POST /v1/check` too."""


class _Line:
    """Those who wait for a look in one event loop."""

    def __init__(self) -> None:
        self.limiter = anyio.CapacityLimiter(CHILDREN)
        self.waiting: Counter[str | None] = Counter()


_line: RunVar[_Line] = RunVar("animator.web.files.looking")


async def in_a_thread_of_its_own(function: Callable[[], T], who: str | None = None) -> T:
    """Run what looks at files without taking threads from other requests.

    Args:
        function: what is run.
        who: the caller for whom it is, of whom not too many wait; None is nobody in particular.

    Raises:
        AnimatorError: `too_many_requests` if too many others wait, and those of the function.
    """
    try:
        line = _line.get()
    except LookupError:
        line = _Line()
        _line.set(line)
    of_one = line.waiting[who] if who is not None else 0
    if line.waiting.total() >= _MOST_WAITING or of_one >= _MOST_OF_ONE:
        raise _busy()
    line.waiting[who] += 1
    try:
        return await to_thread.run_sync(function, limiter=line.limiter)
    finally:
        line.waiting -= Counter([who])  # and without what is zero


def _busy() -> AnimatorError:
    message = "Too many files are being looked at; try again in a minute."
    return AnimatorError("too_many_requests", message, retryable=True)


def _ask(target: str, path: Path, settings: Settings) -> Message:
    task = {
        "path": str(path),
        "limits": asdict(settings.limits()),
        "seconds": settings.check_seconds,
    }
    limits = SandboxLimits(settings.check_seconds, settings.check_memory_mb)
    with TURNSTILE.turn():
        ended = run_limited(target, task, limits)
    answer = next(iter(ended.messages), None)
    if answer is None:
        raise _death(ended)
    code, sentence = answer.get("code"), answer.get("message")
    if code is not None:
        if code not in CODES or not isinstance(sentence, str):
            raise _death(ended)
        raise AnimatorError(code, sentence[:_MOST_TEXT])
    return answer


def _death(ended: Ended) -> AnimatorError:
    code = _ERRORS.get(ended.how, "check_crashed")
    reason = ended.reason or "gave an answer that makes no sense"
    message = f"The process that looked at the file {reason}: it is damaged or extreme."
    return AnimatorError(code, message)


def _jpeg(text: str) -> bytes:
    try:
        content = b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("no base64") from error
    if not content.startswith(b"\xff\xd8\xff"):
        raise ValueError("no JPEG")
    return content


def _face(values: Mapping[str, Any]) -> SeenFace:
    x0, y0, x1, y1 = (_number(edge) for edge in values["box"])
    crop = values["crop"]
    return SeenFace(
        (x0, y0, x1, y1),
        Crop(_whole(crop["x"]), _whole(crop["y"]), _whole(crop["side"], 1)),
    )


def _finding(values: Mapping[str, Any]) -> Finding:
    level, about = values["level"], values["about"]
    if level not in ("error", "warning", "note") or about not in ("source", "driving", ""):
        raise ValueError("no finding")
    texts = (values["code"], values["message"], values["advice"])
    code, message, advice = (_text(text) for text in texts)
    return Finding(level, code, message, advice, about)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value[:_MOST_TEXT]


def _number(value: Any) -> float:
    # JSON without NaN; a very large one is infinite.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e12:
        raise ValueError("no number")
    return value


def _whole(value: Any, least: int | None = None) -> int:
    number = _number(value)
    if not isinstance(number, int) or (least is not None and number < least):
        raise ValueError("no whole number")
    return number
