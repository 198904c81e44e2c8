"""Motion files as values and as bytes: exact, small, and harmless whoever wrote them."""

from __future__ import annotations

import json
import pickle
import random
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animator.animation.driving import driving_arrays, driving_of
from animator.animation.motion.file import (
    MAX_TEXT,
    Rights,
    begins_as_motion,
    is_motion,
    pack_motion,
    read_motion,
)
from animator.errors import AnimatorError
from animator.settings import DEFAULT_LIMITS, MediaLimits
from tests.animator.motions import forged, motion, moving, parts_of, together, write_motion


def refused(path: Path, content: bytes, limits: MediaLimits = DEFAULT_LIMITS) -> AnimatorError:
    path.write_bytes(content)
    with pytest.raises(AnimatorError) as caught:
        read_motion(path, limits)
    assert caught.value.message.count("\n") == 0 and len(caught.value.message) < 400
    return caught.value


def test_what_is_written_is_read(tmp_path: Path) -> None:
    driving = replace(moving(40, range(10, 14), (20,)), faces=3, faults=("A frame is lacking.",))
    wanted = motion(driving, licence="CC0-1.0", consent="written, 2026", note="take 3 \u00fc")
    path = tmp_path / "smile.motion"
    path.write_bytes(pack_motion(wanted))
    found = read_motion(path)
    assert (found.origin, found.rights) == (wanted.origin, wanted.rights)
    one, other = found.driving, wanted.driving
    assert one.landmarks.points.tobytes() == other.landmarks.points.tobytes()
    assert np.allclose(one.landmarks.confidence, other.landmarks.confidence, atol=0.002)
    for name in ("pts", "time_base", "rate", "size", "faces", "cuts", "faults", "audio"):
        assert getattr(one, name) == getattr(other, name), name
    assert not one.pictures
    # The boxes hold the faces, where there are any.
    found_boxes = one.landmarks.boxes[one.landmarks.found]
    assert (found_boxes[:, :2] < found_boxes[:, 2:]).all()


def test_uneven_times_are_kept_exactly(tmp_path: Path) -> None:
    pts = np.cumsum(np.random.default_rng(0).integers(1, 10**6, 30)) - 1
    uneven = replace(
        moving(30), pts=[0, *pts[1:].tolist()], time_base=Fraction(1, 90000), rate=None
    )
    found = read_motion(write_motion(tmp_path / "a", uneven)).driving
    assert (found.pts, found.time_base, found.rate) == (uneven.pts, uneven.time_base, None)


def test_equal_motions_give_equal_bytes_without_anything_to_execute() -> None:
    content = pack_motion(motion())
    assert content == pack_motion(motion())
    header, about, _ = parts_of(content)
    assert sorted(header) == ["__metadata__", "frames", "points"]
    assert about["format"] == 1 and len(content) < 6000
    with pytest.raises(Exception):  # noqa: B017 - whatever unpickling says of it
        pickle.loads(content)


def test_a_motion_without_a_known_grid_is_not_written() -> None:
    driving = moving()
    rough = replace(driving.landmarks, points=driving.landmarks.points + np.float32(1e-5))
    with pytest.raises(ValueError, match="grid"):
        pack_motion(motion(replace(driving, landmarks=rough)))


def test_a_motion_file_is_told_by_its_beginning_or_its_name(tmp_path: Path) -> None:
    path = write_motion(tmp_path / "clip.mp4")
    assert is_motion(path) and begins_as_motion(path.read_bytes()[:64])
    (tmp_path / "a.MOTION").write_bytes(b"")
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypmp42" + bytes(100))
    assert is_motion(tmp_path / "a.MOTION") and not is_motion(tmp_path / "b.mp4")
    # What cannot be opened is left for its reader to tell of.
    assert not is_motion(tmp_path / "nothing") and not is_motion(tmp_path)
    for path, code in ((tmp_path / "nothing.motion", "no_such_file"), (tmp_path, "not_a_file")):
        with pytest.raises(AnimatorError) as caught:
            read_motion(path)
        assert caught.value.code == code


def test_a_part_of_a_motion(tmp_path: Path) -> None:
    whole = motion(moving(50, cuts=(10, 30)))
    part = whole.part(Fraction(1, 2), Fraction(3, 2))  # frames 13 to 37
    assert len(part.driving.pts) == 25 and part.driving.pts[:2] == [0, 512]
    assert part.driving.cuts == (17,)
    expected = whole.driving.landmarks.points[13:38]
    assert part.driving.landmarks.points.tobytes() == expected.tobytes()
    # What it is of began half a second into the video already.
    assert (part.origin.start, part.origin.end) == (Fraction(1), Fraction(2))
    assert whole.part(None, None) is whole
    with pytest.raises(AnimatorError) as caught:
        whole.part(Fraction(2), None)
    assert caught.value.code == "no_frames"


def test_plans_remember_that_there_are_no_pictures() -> None:
    arrays = driving_arrays(moving())
    assert not driving_of(arrays).pictures
    older = json.loads(bytes(arrays["driving"]))
    del older["pictures"]
    arrays["driving"] = np.frombuffer(json.dumps(older).encode(), np.uint8)
    assert driving_of(arrays).pictures


# -- damage ------------------------------------------------------------------------------------


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    content = pack_motion(motion())
    dice = random.Random(2)
    lengths = {0, 1, 7, 8, 9, len(content) - 1, *(dice.randrange(len(content)) for _ in range(120))}
    for length in lengths:
        assert refused(tmp_path / "a", content[:length]).code == "unreadable_motion"


def test_every_changed_bit_is_an_error(tmp_path: Path) -> None:
    content = pack_motion(motion(licence="CC0"))
    dice = random.Random(4)
    for _ in range(500):
        damaged = bytearray(content)
        place = dice.randrange(len(content))
        damaged[place] ^= 1 << dice.randrange(8)
        assert refused(tmp_path / "a", bytes(damaged)).code == "unreadable_motion", place


def test_noise_of_any_kind_is_an_error(tmp_path: Path) -> None:
    content, dice = pack_motion(motion()), random.Random(6)
    for _ in range(200):
        damaged = bytearray(content)
        first = dice.randrange(len(content))
        last = min(first + dice.randrange(1, 60), len(content))
        choice = dice.randrange(3)
        if choice == 0:
            damaged[first:last] = dice.randbytes(last - first)
        elif choice == 1:
            del damaged[first:last]
        else:
            damaged[first:first] = dice.randbytes(last - first)
        if bytes(damaged) != content:
            assert refused(tmp_path / "a", bytes(damaged)).code == "unreadable_motion"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        bytes(4096),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 300_000) + b"{" * 300_000,
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        struct.pack("<Q", 200_000) + b'{"a":' * 40_000,
        pickle.dumps({"points": [1, 2]}),
    ],
    ids=range(9),
)
def test_other_files_are_errors(tmp_path: Path, content: bytes) -> None:
    assert refused(tmp_path / "a.motion", content).code == "unreadable_motion"


def test_another_safetensors_file_is_an_error(tmp_path: Path) -> None:
    from safetensors.numpy import save

    content = save({"weight": np.zeros((3, 3), np.float32)}, {"format": "pt"})
    assert refused(tmp_path / "a", content).code == "unreadable_motion"
    assert not begins_as_motion(content)


# -- what no animator would write, with a checksum that fits ----------------------------------


def change(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda about: about.__setitem__(name, value)


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a newer format": change("format", 2),
    "no format": lambda about: about.pop("format"),
    "a format that is true": change("format", True),
    "no frames": change("frames", 0),
    "fewer frames": change("frames", 29),
    "more frames": change("frames", 31),
    "many frames": change("frames", 10**6),
    "frames without end": change("frames", 10**12),
    "frames as text": change("frames", "30"),
    "frames as a float": change("frames", 30.0),
    "fewer faces": change("found", 29),
    "no faces": change("found", 0),
    "a grid that is too fine": change("power", 40),
    "a grid below pixels": change("power", -1),
    "wide numbers": change("planes", 8),
    "narrow numbers": change("planes", 1),
    "a time base of nothing": change("time_base", "0"),
    "a time base beyond numbers": change("time_base", "1e999999999"),
    "a time base by zero": change("time_base", "1/0"),
    "a long time base": change("time_base", "9" * 5000),
    "a time base beyond libav": change("time_base", "1/9999999999"),
    "a rate that is a number": change("rate", 25),
    "a negative rate": change("rate", "-25"),
    "no size": lambda about: about.pop("size"),
    "a size of one side": change("size", [10]),
    "a size of nothing": change("size", [0, 10]),
    "a size that is true": change("size", [True, True]),
    "faults that are none": change("faults", "none"),
    "faults of numbers": change("faults", [1]),
    "an origin that is none": change("origin", []),
    "an origin without a name": lambda about: about["origin"].pop("name"),
    "an origin with a long name": lambda about: about["origin"].update(name="n" * 5000),
    "an origin at no time": lambda about: about["origin"].update(start="never"),
    "rights that are none": change("rights", None),
    "rights of numbers": lambda about: about["rights"].update(licence=1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_makes_no_sense_is_an_error(tmp_path: Path, name: str) -> None:
    began = time.monotonic()
    error = refused(tmp_path / "a", forged(pack_motion(motion()), HOSTILE[name]))
    assert error.code == "unreadable_motion"
    assert time.monotonic() - began < 2
    if name == "a newer format":
        assert "newer animator" in error.message and "format 2" in error.message


def test_a_forgery_that_changes_nothing_is_read(tmp_path: Path) -> None:
    """What the other forgeries are refused for is not how they are forged."""
    (tmp_path / "a").write_bytes(forged(pack_motion(motion()), lambda about: None))
    assert len(read_motion(tmp_path / "a").driving.pts) == 30


def test_text_that_is_no_object_is_an_error(tmp_path: Path) -> None:
    header, about, tensors = parts_of(pack_motion(motion()))
    for text in ("", "[]", "1", "null", "{", "[" * 100_000):
        content = together(header, text, tensors)
        assert refused(tmp_path / "a", content).code == "unreadable_motion"
    content = together(header, {**about, "sha256": None}, tensors)
    assert refused(tmp_path / "a", content).code == "unreadable_motion"


def test_tensors_of_another_kind_are_an_error(tmp_path: Path) -> None:
    header, about, tensors = parts_of(pack_motion(motion()))
    for kind in ("I8", "BF16", "F8_E4M3", "NONE"):
        changed = {**header, "points": {**header["points"], "dtype": kind}}
        assert (
            refused(tmp_path / "a", together(changed, about, tensors)).code == "unreadable_motion"
        )
    more = {**header, "more": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}
    assert refused(tmp_path / "a", together(more, about, tensors)).code == "unreadable_motion"


# -- limits ------------------------------------------------------------------------------------


def test_limits_are_those_of_videos(tmp_path: Path) -> None:
    content = pack_motion(motion())
    cases = (
        (MediaLimits(max_frames=29), "too_long"),
        (MediaLimits(max_frame_pixels=320 * 240 - 1), "too_large"),
        (MediaLimits(max_bytes=len(content) - 1), "too_large"),
    )
    for limits, code in cases:
        assert refused(tmp_path / "a", content, limits).code == code
    fits = MediaLimits(max_bytes=len(content), max_frame_pixels=320 * 240, max_frames=30)
    assert len(read_motion(tmp_path / "a", fits).driving.pts) == 30


def test_sizes_are_checked_before_the_rest_is_read(tmp_path: Path) -> None:
    """A file that says that it is too long need not hold anything."""
    header, about, _ = parts_of(pack_motion(motion()))
    content = together(header, {**about, "frames": 3 * 10**6}, b"")
    assert refused(tmp_path / "a", content).code == "too_long"


def test_rights_are_short_texts(tmp_path: Path) -> None:
    assert asdict(Rights(licence="a" * MAX_TEXT))["licence"]
    wordy = motion(**dict.fromkeys(("licence", "consent", "note"), "\N{GRINNING FACE}" * MAX_TEXT))
    (tmp_path / "a").write_bytes(pack_motion(wordy))
    assert read_motion(tmp_path / "a").rights == wordy.rights
    for text in ("a" * (MAX_TEXT + 1), "a\0b"):
        with pytest.raises(AnimatorError) as caught:
            Rights(consent=text)
        assert caught.value.code == "invalid_option"
