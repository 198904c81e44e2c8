"""Files that are made to be opened for minutes."""

from __future__ import annotations

import struct
import time
from fractions import Fraction
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.media import container
from animator.media.decode import VideoReader, probe
from tests.animator.media_files import write_video

FTYP = struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom")


@pytest.mark.parametrize("kind", [b"free", b"moov", b"moof", b"mdat", b"uuid"])
def test_millions_of_boxes_are_refused_at_once(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "boxes.mp4"
    path.write_bytes(FTYP + struct.pack(">I4s", 8, kind) * 3_000_000)
    began = time.process_time()
    with pytest.raises(AnimatorError, match="too long to open") as caught:
        probe(path)
    assert caught.value.code == "unreadable_video"
    assert time.process_time() - began < 3


def test_boxes_within_a_box_cannot_keep_it_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "OPENING_SECONDS", 0.2)
    path = tmp_path / "boxes.mp4"
    count = 5_000_000
    inner = struct.pack(">I4s", 8, b"free") * count
    path.write_bytes(FTYP + struct.pack(">I4s", 8 + len(inner), b"moov") + inner)
    began = time.process_time()
    with pytest.raises(AnimatorError) as caught:
        probe(path)
    assert caught.value.code == "unreadable_video"
    assert time.process_time() - began < 2


def test_hours_of_small_fragments_are_read(tmp_path: Path) -> None:
    """Every frame a fragment of its own, and the time limit only holds for the opening."""
    path = write_video(
        tmp_path / "fragments.mp4", [512 * n for n in range(600)], Fraction(1, 12800),
        container_options={"movflags": "+frag_every_frame+empty_moov"}, size=(32, 32),
    )  # fmt: skip
    with VideoReader(path) as reader:
        assert sum(len(batch) for batch in reader) == 600


def test_reading_goes_on_after_the_time_for_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4", [512 * n for n in range(200)], Fraction(1, 12800))
    monkeypatch.setattr(container, "OPENING_SECONDS", 0.5)
    with VideoReader(path) as reader:
        until = time.thread_time() + 0.6
        while time.thread_time() < until:
            pass
        assert sum(len(batch) for batch in reader) == 200


@pytest.mark.parametrize("kind", ["wav", "avi"])
def test_a_list_of_notes_without_end_is_refused(kind: str, tmp_path: Path) -> None:
    notes = struct.pack("<4sI4s4sI", b"LIST", 0xFFFFFF00, b"INFO", b"ISFT", 4) + b"Lavf"
    body = {
        "wav": b"WAVE" + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 48000, 96000, 2, 16) + notes,
        "avi": b"AVI " + struct.pack("<4sI4s", b"LIST", 4096, b"hdrl") + notes,
    }[kind]
    path = tmp_path / f"notes.{kind}"
    path.write_bytes(struct.pack("<4sI", b"RIFF", 49222) + body + bytes(50000))
    began = time.process_time()
    with pytest.raises(AnimatorError) as caught:
        probe(path)
    assert caught.value.code == "unreadable_video"
    assert time.process_time() - began < 1
