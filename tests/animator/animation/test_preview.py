"""The preview: what is drawn of a frame, how often, and of which one."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from animator.animation import preview
from animator.animation.preview import Preview, draw
from gfla.arrays import Picture


class Looking:
    """Somebody who looks, or not."""

    def __init__(self, wanted: bool = True) -> None:
        self.preview_wanted = wanted
        self.seen: list[bytes] = []

    def show_preview(self, picture: bytes) -> None:
        self.seen.append(picture)


def frame(width: int, height: int) -> Picture:
    """Red on its left half, blue on its right one."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 255
    picture[:, width // 2 :, 2] = 255
    return picture


@pytest.mark.parametrize(
    ("size", "drawn"),
    [
        ((256, 256), (256, 256)),
        ((512, 300), (512, 300)),
        ((3840, 2160), (512, 288)),
        ((600, 1024), (300, 512)),
        ((8192, 2), (512, 1)),
    ],
)
def test_it_is_a_small_jpeg_in_the_frames_colours(
    size: tuple[int, int], drawn: tuple[int, int]
) -> None:
    original = frame(*size)
    before = original.copy()
    with Image.open(io.BytesIO(draw(original))) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", drawn, "RGB")
        left, right = np.asarray(image)[0, 20], np.asarray(image)[0, -20]
    assert left[0] > 200 and left[2] < 60
    assert right[2] > 200 and right[0] < 60
    assert np.array_equal(original, before)


def test_it_shows_the_newest_frame_once_a_second_and_only_to_who_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(preview.time, "monotonic", lambda: now)
    looking = Looking(wanted=False)
    shown = Preview(looking)
    shown.offer(frame(64, 64))
    assert looking.seen == []
    looking.preview_wanted = True
    frames = [frame(64 + 2 * number, 64) for number in range(25)]
    for number, picture in enumerate(frames):
        now = 101 + number / 10
        shown.offer(picture)
    assert looking.seen == [draw(frames[0]), draw(frames[10]), draw(frames[20])]
    looking.preview_wanted = False
    now = 200.0
    shown.offer(frames[0])
    assert len(looking.seen) == 3
    Preview(None).offer(frames[0])
