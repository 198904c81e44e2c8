"""How large a face is in a result, and how much is shown around it."""

from __future__ import annotations

import pytest

from animator.faces.crop import face_square
from animator.faces.framing import (
    TRAINED_MARGIN,
    Frame,
    Size,
    even,
    face_side,
    frame_around,
    rendered_side,
)

WIDE = 2.4


def shown(place: tuple[int, int, int], frame: Frame) -> tuple[float, float, float, float]:
    """Edges of what is shown, in pixels of the picture: left, top, right, bottom."""
    left, top, own = place
    step = own / frame.face
    x, y = left - frame.left * step, top - frame.top * step
    return x, y, x + frame.side * step, y + frame.side * step


def test_the_margin_of_the_models_is_that_of_their_square() -> None:
    assert face_square.__defaults__ == (TRAINED_MARGIN,)


@pytest.mark.parametrize(
    ("own", "face", "side"), [(100, 256, 352), (300, 512, 702), (561, 512, 702), (2000, 512, 702)]
)
def test_auto_follows_the_face_of_the_source(own: int, face: int, side: int) -> None:
    assert face_side("auto", WIDE, own) == face_side("auto", TRAINED_MARGIN, own) == face
    place, picture = (3 * own, 2 * own, own), (9 * own, 8 * own)
    frame = frame_around(place, picture, "auto", WIDE)
    assert (frame.side, frame.face) == (side, face)
    assert frame.side / frame.face == pytest.approx(WIDE / TRAINED_MARGIN, rel=0.004)
    # A face that was rendered at another size has as much around it.
    assert frame_around(place, picture, "auto", WIDE, face=128).side == 176


def test_a_face_below_300_is_not_worth_the_finer_size() -> None:
    assert [face_side("auto", WIDE, own) for own in (1, 299, 300, 9999)] == [256, 256, 512, 512]


def test_faces_are_rendered_at_multiples_of_what_models_are_trained_with() -> None:
    assert [rendered_side(face, WIDE) for face in (2, 94, 256, 258, 374, 748)] == [
        *(256, 256, 256, 512, 512, 768)
    ]
    # With the margin of before there were margins as they were then.
    assert [rendered_side(face, TRAINED_MARGIN) for face in (128, 300)] == [128, 300]


@pytest.mark.parametrize("margin", [1.2, 1.5, 1.75, 2.0, 2.4, 3.1, 4.0])
@pytest.mark.parametrize("size", [128, 250, 256, 1024])
def test_a_size_is_that_of_what_is_shown(size: int, margin: float) -> None:
    frame = frame_around((1000, 1200, 333), (3000, 4000), size, margin)
    assert frame.side == size and frame.face % 2 == 0
    assert frame.face == face_side(size, margin, 333) == even(size * TRAINED_MARGIN / margin)


@pytest.mark.parametrize("place", [(-40, 10, 200), (30, 30, 200), (100, -50, 900)])
@pytest.mark.parametrize("size", [128, 256, "auto"])
def test_the_margin_of_the_models_shows_their_square_alone(
    size: Size, place: tuple[int, int, int]
) -> None:
    side = face_side(size, TRAINED_MARGIN, place[2])
    frame = frame_around(place, (640, 480), size, TRAINED_MARGIN)
    assert frame == Frame(side, side, 0, 0)


def test_a_smaller_margin_shows_the_middle_of_the_square() -> None:
    frame = frame_around((100, 100, 200), (640, 480), 256, 1.4)
    assert frame == Frame(256, 320, -32, -32)


def test_most_of_the_room_is_above_the_face() -> None:
    frame = frame_around((1000, 1000, 350), (3000, 3000), 480, WIDE)
    room = 480 - 350
    assert frame == Frame(480, 350, room // 2, round(0.7 * room))


@pytest.mark.parametrize("size", [128, 256, 1000, "auto"])
@pytest.mark.parametrize(
    ("place", "picture"),
    [
        ((10, 200, 220), (640, 480)),  # near the left edge
        ((400, 250, 220), (640, 480)),  # near the right and the lower one
        ((180, 3, 220), (640, 480)),
        ((110, 20, 220), (512, 256)),  # there is less picture than is wanted
        ((20, 15, 221), (256, 256)),
        ((33, 401, 119), (200, 555)),
    ],
)
def test_what_is_shown_stays_in_the_picture(
    place: tuple[int, int, int], picture: tuple[int, int], size: Size
) -> None:
    frame = frame_around(place, picture, size, WIDE)
    left, top, right, bottom = shown(place, frame)
    # A pixel of the result is all that whole pixels may cost.
    slack = place[2] / frame.face + 1e-9
    assert left >= -1e-9 and top >= -1e-9
    assert right <= picture[0] + slack and bottom <= picture[1] + slack
    assert frame.face <= frame.side and frame.left >= 0 and frame.top >= 0
    # It is as wide as it may be.
    wide = min(place[2] * WIDE / TRAINED_MARGIN, *picture)
    assert right - left == pytest.approx(max(wide, place[2]), abs=3 * slack)


@pytest.mark.parametrize(
    ("place", "left", "top"), [((-30, 60, 200), 0, 140), ((350, -20, 200), 200, 0)]
)
def test_a_square_that_leads_out_of_the_picture_is_shown_whole(
    place: tuple[int, int, int], left: int, top: int
) -> None:
    """With its border repeated as far as the networks see it, and not further."""
    frame = frame_around(place, (500, 500), 400, 3.5)
    assert (frame.face, frame.left, frame.top) == (200, left, min(top, 60))


def test_a_picture_smaller_than_the_square_shows_just_that() -> None:
    assert frame_around((-20, -30, 266), (203, 241), 256, 4.0) == Frame(256, 256, 0, 0)
    assert frame_around((-20, -30, 266), (203, 241), "auto", 4.0) == Frame(256, 256, 0, 0)
