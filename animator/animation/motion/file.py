"""Motion files: the landmarks of a driving video, its times, and where they come from.

A motion file is a safetensors file with two tensors of bytes and one text, and no pictures:

    points    XZ: the landmarks of the frames with a face, see `animator.faces.packing`
    frames    XZ: of each frame, how much later it is than the one before (8 bytes), whether it has
              the face (1) and begins a shot (2), and how sure the detector was (0 to 255)
    animator_motion, in the metadata: JSON with the rest, and a checksum of all

It is read whole and into memory that its own numbers ask for, after they were checked against the
limits; nothing in it is executed. The result that is made with it is that of the video itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from animator import __version__
from animator.animation.driving import Driving
from animator.errors import AnimatorError
from animator.faces.landmarks import Landmarks, missing_landmarks
from animator.faces.packing import XzStream, pack_bytes, pack_points, unpack_points
from animator.files.local import open_file, quoted
from animator.settings import DEFAULT_LIMITS, MediaLimits

SUFFIX = ".motion"
FORMAT = 1
"""Of the files that are written here; newer ones are refused."""
MAX_BYTES = 256 << 20
MAX_FRAMES = 4_000_000
"""More than fit into a file that is so large."""
MAX_TEXT = 2000
"""Characters of what a user says about a motion."""
_MARK = "animator_motion"
_MAX_HEADER = 1 << 18
_HEAD = 256  # bytes in which a file says what it is
_TENSORS = ("frames", "points")
_FRACTION = re.compile(r"(\d{1,10})(?:/([1-9]\d{0,9}))?", re.ASCII)
_LARGEST = 2**31 - 1  # of what libav takes for a time
_SIDE = 1 << 20
_FACE, _CUT = 1, 2
_SURE = 255


@dataclass(frozen=True)
class Origin:
    """What a motion was made of.

    Attributes:
        name: of the file, without its folder.
        sha256: of the file, 64 hexadecimal digits.
        start: where the part begins that was used, in seconds; None for its beginning.
        end: where that ends; None for its end.
        face: "largest", or the number of the face from the left.
        detector: what found the landmarks, with its version.
        version: of the animator that wrote the file.
    """

    name: str
    sha256: str
    start: Fraction | None = None
    end: Fraction | None = None
    face: str = "largest"
    detector: str = ""
    version: str = __version__


@dataclass(frozen=True)
class Rights:
    """What whoever saved a motion says about it; each a text, empty if nothing was said.

    Attributes:
        licence: under which it may be used.
        consent: of the person whose motion it is.
        note: anything else.
    """

    licence: str = ""
    consent: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        """Check the lengths."""
        for name, text in asdict(self).items():
            if not isinstance(text, str) or len(text) > MAX_TEXT or "\0" in text:
                message = f"{name} is a text of at most {MAX_TEXT} characters."
                raise AnimatorError("invalid_option", message)


@dataclass(frozen=True, eq=False)
class Motion:
    """A motion with all that is known of it.

    Attributes:
        driving: landmarks and times.
        origin: what they are of.
        rights: what is said about them.
    """

    driving: Driving
    origin: Origin
    rights: Rights = field(default_factory=Rights)

    def part(self, start: Fraction | None, end: Fraction | None) -> Motion:
        """The part between two times in seconds; errors as of `Driving.part`."""
        if start is None and end is None:
            return self
        origin, zero = self.origin, self.origin.start or Fraction(0)
        cut = replace(
            origin,
            start=origin.start if start is None else zero + start,
            end=origin.end if end is None else zero + end,
        )
        return replace(self, driving=self.driving.part(start, end), origin=cut)


def begins_as_motion(head: bytes) -> bool:
    """Whether a file that begins so is a motion file, whole or damaged.

    Args:
        head: its first 64 bytes or more.
    """
    return head[8:9] == b"{" and f'"{_MARK}"'.encode() in head[:_HEAD]


def is_motion(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> bool:
    """Whether a file is a motion file, by its name or its beginning.

    What cannot be opened is none unless it is called so; whoever reads it tells why.
    """
    if Path(path).suffix.lower() == SUFFIX:
        return True
    with suppress(AnimatorError), open_file(path, limits) as file:
        return begins_as_motion(file.read(_HEAD) or b"")
    return False


def pack_motion(motion: Motion) -> bytes:
    """The content of a motion file; equal motions give equal bytes.

    Raises:
        ValueError: if the landmarks are not settled, see `animator.faces.packing.settle`.
    """
    driving = motion.driving
    found = driving.landmarks.found
    points, power, planes = pack_points(driving.landmarks.points[found])
    tensors = {"points": points, "frames": pack_bytes(_frames_bytes(driving))}
    about = {
        **{"format": FORMAT, "frames": len(found), "found": int(found.sum())},
        **{"power": power, "planes": planes},
        **{"time_base": str(driving.time_base), "rate": _text(driving.rate)},
        **{"size": list(driving.size), "faces": driving.faces, "faults": list(driving.faults)},
        "origin": {
            **asdict(motion.origin),
            **{name: _text(getattr(motion.origin, name)) for name in ("start", "end")},
        },
        "rights": asdict(motion.rights),
    }
    about["sha256"] = _checksum(about, tensors)
    arrays = {name: np.frombuffer(content, np.uint8) for name, content in tensors.items()}
    return save(arrays, {_MARK: json.dumps(about)})


def read_motion(path: str | Path, limits: MediaLimits = DEFAULT_LIMITS) -> Motion:
    """The motion in a file.

    Args:
        path: a local file, whatever it is called.
        limits: what is refused: of its bytes, of frames and pixels; not of seconds, as a part may
            be meant.

    Raises:
        AnimatorError: `unreadable_motion`; `too_long`, `too_large`; those of `open_file`.
    """
    limits = replace(limits, max_bytes=min(limits.max_bytes, MAX_BYTES))
    with open_file(path, limits) as file:
        # No more than was looked at when it was opened, should somebody add to it.
        content = file.read(os.fstat(file.fileno()).st_size) or b""
    try:
        return _unpacked(content, quoted(path), limits)
    except _Damaged as error:
        message = f"{quoted(path)} is not a motion file that can be read: {error}."
        raise AnimatorError("unreadable_motion", message) from None


class _Damaged(ValueError):
    """Why a file cannot be read, as the end of a sentence."""


def _unpacked(content: bytes, name: str, limits: MediaLimits) -> Motion:
    about = _header(content)
    # What an unknown format means is unknown; what it says of its size is checked before the rest.
    if (version := _whole(about, "format", 1, _LARGEST)) > FORMAT:
        raise _Damaged(f"a newer animator wrote it (format {version}; known here is {FORMAT})")
    frames = _whole(about, "frames", 1, MAX_FRAMES)
    found = _whole(about, "found", 1, frames)
    size = _size(about)
    if frames > limits.max_frames:
        message = f"{name} has {frames} frames; {limits.max_frames} are allowed."
        raise AnimatorError("too_long", message)
    if size[0] * size[1] > limits.max_frame_pixels:
        message = f"{name} is of frames of {size[0]} x {size[1]} pixels, which is not allowed."
        raise AnimatorError("too_large", message)
    # The tensors, whole and unchanged.
    tensors = _tensors(content)
    if about.get("sha256") != _checksum(about, tensors):
        raise _Damaged("it is damaged")
    try:
        times, flags, sure = _frames(tensors["frames"], frames)
        power, planes = _whole(about, "power", 0, 64), _whole(about, "planes", 1, 8)
        points = unpack_points(tensors["points"], found, power, planes)
        landmarks = _landmarks(points, flags & _FACE != 0, sure)
    except ValueError as error:
        raise _Damaged(str(error)) from None
    cuts = np.flatnonzero(flags & _CUT)
    driving = Driving(
        landmarks,
        times,
        _fraction(about, "time_base"),
        None if about.get("rate") is None else _fraction(about, "rate"),
        size,
        (None, None),
        _whole(about, "faces", 0, _LARGEST),
        tuple(int(cut) for cut in cuts if cut),
        _texts(about, "faults"),
        pictures=False,
    )
    return Motion(driving, _origin(about), _rights(about))


# -- what the file says of itself --------------------------------------------------------------


def _header(content: bytes) -> dict[str, Any]:
    """The JSON in the metadata, whose length is checked before it is parsed."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > _MAX_HEADER or 8 + length > len(content):
        raise _Damaged("it is damaged, incomplete or of another kind")
    try:
        header = json.loads(content[8 : 8 + length])
        about = json.loads(header["__metadata__"][_MARK])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Damaged("it is damaged or of another kind") from None
    if not isinstance(about, dict):
        raise _Damaged("it is damaged")
    return about


def _tensors(content: bytes) -> dict[str, bytes]:
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError, ImportError):
        raise _Damaged("it is damaged or incomplete") from None
    kinds = {name: (array.dtype, array.ndim) for name, array in tensors.items()}
    if kinds != dict.fromkeys(_TENSORS, (np.dtype(np.uint8), 1)):
        raise _Damaged("it does not hold what a motion file holds")
    return {name: array.tobytes() for name, array in tensors.items()}


def _checksum(about: Mapping[str, Any], tensors: Mapping[str, bytes]) -> str:
    plain = {name: value for name, value in about.items() if name != "sha256"}
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {len(tensors[name])}\n".encode())
        digest.update(tensors[name])
    return digest.hexdigest()


def _whole(about: Mapping[str, Any], name: str, least: int, most: int) -> int:
    value = about.get(name)
    if type(value) is not int or not least <= value <= most:
        raise _Damaged(f"its {name} makes no sense")
    return value


def _string(about: Mapping[str, Any], name: str, most: int = MAX_TEXT) -> str:
    value = about.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise _Damaged(f"its {name} makes no sense")
    return value


def _texts(about: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = about.get(name)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise _Damaged(f"its {name} make no sense")
    return tuple(values)


def _fraction(about: Mapping[str, Any], name: str) -> Fraction:
    """A positive ratio; matched first, as Python would work out 1e999999999 for a long time."""
    match = _FRACTION.fullmatch(_string(about, name))
    value = Fraction(int(match[1]), int(match[2] or 1)) if match else Fraction(0)
    if not 0 < value or max(value.numerator, value.denominator) > _LARGEST:
        raise _Damaged(f"its {name} makes no sense")
    return value


def _size(about: Mapping[str, Any]) -> tuple[int, int]:
    size = about.get("size")
    if not isinstance(size, list) or len(size) != 2:
        raise _Damaged("its size makes no sense")
    width, height = (_whole({"size": side}, "size", 1, _SIDE) for side in size)
    return width, height


def _part(about: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = about.get(name)
    if not isinstance(value, dict):
        raise _Damaged(f"its {name} makes no sense")
    return value


def _origin(about: Mapping[str, Any]) -> Origin:
    origin = _part(about, "origin")
    start, end = (
        None if origin.get(name) in (None, "0") else _fraction(origin, name)
        for name in ("start", "end")
    )
    names = ("name", "sha256", "face", "detector", "version")
    texts = {name: _string(origin, name) for name in names}
    return replace(Origin(**texts), start=start, end=end)  # type: ignore[arg-type]


def _rights(about: Mapping[str, Any]) -> Rights:
    rights = _part(about, "rights")
    return Rights(**{name: _string(rights, name) for name in ("licence", "consent", "note")})


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


# -- frames ------------------------------------------------------------------------------------


def _frames_bytes(driving: Driving) -> bytes:
    landmarks = driving.landmarks
    steps = np.diff(np.array(driving.pts, np.int64), prepend=np.int64(0)).astype("<i8")
    flags = landmarks.found.astype(np.uint8) * _FACE
    flags[list(driving.cuts or ())] |= _CUT
    sure = np.round(landmarks.confidence * _SURE).astype(np.uint8)
    return b"".join([steps.tobytes(), flags.tobytes(), sure.tobytes()])


def _frames(
    content: bytes, frames: int
) -> tuple[list[int], NDArray[np.uint8], NDArray[np.float32]]:
    """Timestamps, flags, and how sure the detector was."""
    stream = XzStream(content)
    steps = np.frombuffer(stream.read(8 * frames), "<i8")
    flags, sure = (np.frombuffer(stream.read(frames), np.uint8) for _ in range(2))
    stream.end()
    if steps[0] != 0 or (steps[1:] <= 0).any() or (steps > _LARGEST * 1000).any():
        raise ValueError("its times make no sense")
    times = np.cumsum(steps.astype(np.int64)).tolist()
    return times, flags, (sure / np.float32(_SURE)).astype(np.float32)


def _landmarks(
    points: NDArray[np.float32], found: NDArray[np.bool_], sure: NDArray[np.float32]
) -> Landmarks:
    """The landmarks of all frames, with boxes that just hold them."""
    if int(found.sum()) != len(points):
        raise ValueError("its frames do not fit its landmarks")
    empty = missing_landmarks(len(found))
    empty.points[found] = points
    empty.boxes[found] = np.concatenate([points.min(1), points.max(1)], -1)
    return Landmarks(empty.points, empty.boxes, sure)
