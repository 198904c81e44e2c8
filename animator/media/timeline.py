"""Times of frames and packets where those in the file are missing, out of order or broken off."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from av.packet import Packet

DISCONTINUOUS = ("mpegts", "mpeg", "ogg", "flv")
"""Formats whose clock may jump: pieces of recordings that were put one behind the other."""
_AHEAD = ("mpegts", "mpeg")  # in which it may also jump ahead; elsewhere that is a pause

_LARGEST_STEP_BACK = Fraction(1)  # seconds; frames are coded out of order within it
_LARGEST_STEP = Fraction(10)  # seconds; in formats whose clock may jump, more is a jump
_FEWEST_STEPS = 10  # to tell whether frames come evenly
_REGULAR = 0.8  # least share of steps that are alike in a stream of even times
_MOST_WAITING = 64  # frames that a decoder may hold back


class Joints:
    """One time for all of a stream whose clock jumps.

    Args:
        format: the container's name in libav.
        known: what is to be added after each joint, where the picture has told; else it is found.

    Attributes:
        offsets: what is added to times, in seconds: first 0, and a value more after each joint.
    """

    def __init__(self, format: str, known: Iterable[Fraction] | None = None) -> None:
        self._jumps = format in _AHEAD
        self.offsets = [Fraction(0)] if known is None else list(known)
        self._found = known is None
        self._place = 0
        self._offset = self.offsets[0]
        self._last: Fraction | None = None

    def join(self, packet: Packet[Any]) -> Fraction:
        """Set a packet's times so that they go on from the one before.

        Returns:
            What was added, in seconds.
        """
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is None:
            return self._offset
        moment = stamp * packet.time_base
        if self._last is not None and not self._goes_on(moment + self._offset):
            self._next(moment, (packet.duration or 0) * packet.time_base)
        self._last = moment + self._offset
        if self._offset:
            added = round(self._offset / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + added
            packet.dts = None if packet.dts is None else packet.dts + added
        return self._offset

    def _goes_on(self, moment: Fraction) -> bool:
        assert self._last is not None
        step = moment - self._last
        return step >= -_LARGEST_STEP_BACK and not (self._jumps and step > _LARGEST_STEP)

    def _next(self, moment: Fraction, step: Fraction) -> None:
        assert self._last is not None
        for place in range(self._place + 1, len(self.offsets)):
            if self._goes_on(moment + self.offsets[place]):
                self._place, self._offset = place, self.offsets[place]
                return
        self._offset = self._last + (step or Fraction(1, 25)) - moment
        if self._found:
            self.offsets.append(self._offset)


class Gaps:
    """How many frames a stream lacks, by its times, if they are else even."""

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()
        self._last: int | None = None

    def add(self, pts: int) -> None:
        """Note the time of the next frame."""
        if self._last is not None:
            self._steps[pts - self._last] += 1
        self._last = pts

    @property
    def lacking(self) -> int:
        """Frames that are missing between those there are; 0 where times are uneven."""
        total = sum(self._steps.values())
        if total < _FEWEST_STEPS:
            return 0
        usual = self._steps.most_common(1)[0][0]
        regular = sum(n for step, n in self._steps.items() if 0.9 * usual <= step <= 1.1 * usual)
        if regular < _REGULAR * total:
            return 0
        wide = ((step, n) for step, n in self._steps.items() if step > 1.75 * usual)
        return sum(n * (round(step / usual) - 1) for step, n in wide)


class FrameClock:
    """When decoded frames are shown.

    A frame has its presentation time, if the file has such times. Else frames come out of the
    decoder in the order in which they are shown, and the times at which packets are decoded, which
    rise, are theirs one after another.

    Args:
        by_decoding: whether the file lacks presentation times.
    """

    def __init__(self, by_decoding: bool) -> None:
        self.by_decoding = by_decoding
        self._fed: deque[int] = deque(maxlen=_MOST_WAITING)
        self._coding_order = True  # so far, all presentation times are those of decoding
        self._last: int | None = None
        self._bend = 0  # added to what stepped back too far
        self._lag: int | None = None

    def fed(self, packet: Packet[Any]) -> None:
        """Note a packet that goes into the decoder."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        if stamp is not None:
            self._fed.append(stamp)
        if packet.pts is not None and packet.dts is not None and packet.pts != packet.dts:
            self._coding_order = False

    def failed(self) -> None:
        """Forget the packet that was fed last: no frame comes of it."""
        if self._fed:
            self._fed.pop()

    def time(self, pts: int | None, dts: int | None, step: int, back: int, at_once: bool) -> int:
        """The time of the next frame, later than that of the one before.

        Args:
            pts: its presentation time in the file, None if it has none.
            dts: the time of decoding of the packet after which it came, None if unknown.
            step: usual distance of frames.
            back: how far times may step back before their clock counts as a new one.
            at_once: whether a frame comes out as soon as its packet goes in.
        """
        queued = self._decoding_time(dts, at_once)
        moment = queued if self.by_decoding or pts is None else pts
        last = self._last
        if moment is None:
            moment = 0 if last is None else last + step - self._bend
        moment += self._bend
        if last is not None and moment <= last:
            if self._coding_order and queued is not None:
                self.by_decoding = True  # the file's presentation times are those of decoding
            if last - moment > back:
                self._bend += last + step - moment
                moment = last + step
            else:
                moment = last + 1  # it is shown, if only just
        self._last = moment
        return moment

    def _decoding_time(self, dts: int | None, at_once: bool) -> int | None:
        """The earliest time of decoding that no frame has yet."""
        waiting = self._fed
        if dts is not None and self.by_decoding:
            ready = sum(stamp <= dts for stamp in waiting)
            if self._lag is None:
                self._lag = ready
            # Packets of which no frame came must not make all others early.
            for _ in range(ready - (1 if at_once else self._lag + 1)):
                waiting.popleft()
        return waiting.popleft() if waiting else None
