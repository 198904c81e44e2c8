from __future__ import annotations

import cv2
import numpy as np
import pytest

from animator.faces.measures import face_extent, head_turn, sharpness
from animator.footage.selection import Footage, Quality, read_manifest, split_by_identity, stretches
from gfla.errors import GflaError
from tests.golden.faces import MEAN_FACE

LIMITS = Quality(fewest_frames=3, most_frames=6, longest_gap=1)


def item(path: str, identity: str, licence: str = "MIT", split: str = "") -> Footage:
    return Footage(path, "face_video", identity, licence, split)


def test_nobody_is_on_both_sides():
    taken, left = split_by_identity(
        [
            item("a1", "a"),
            item("a2", "a", "closed"),
            item("b", "b", "closed"),
            item("c", "none"),
            item("d1", "d", split="held-out"),
            item("d2", "d"),
            item("e1", "e"),
            item("e2", "e", "closed", split="train"),
        ],
        test_people={"e", "nobody"},
    )
    splits = {footage.path: split for footage, split in taken}
    assert splits == {
        "a1": "train",
        "b": "held-out",
        "d1": "held-out",
        "d2": "held-out",
    } | dict.fromkeys(("e1", "e2"), "test")
    assert {footage.path for footage, _ in left} == {"a2", "c"}


def test_a_manifest_that_puts_a_person_on_both_sides_is_refused():
    with pytest.raises(GflaError, match="identity a is in two"):
        split_by_identity([item("1", "a", split="train"), item("2", "a", split="held-out")])


def test_manifests_are_read_strictly(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("path,kind,identity,license\na.mp4,face_video,a,MIT\nb.png,person,a,MIT\n")
    assert read_manifest(path) == [item("a.mp4", "a")]
    for content, code in (
        ("path,kind\n", "invalid_data"),
        ("path,kind,identity,license,split\na,portrait,a,MIT,both\n", "invalid_data"),
    ):
        path.write_text(content)
        with pytest.raises(GflaError) as caught:
            read_manifest(path)
        assert caught.value.code == code
    with pytest.raises(GflaError) as caught:
        read_manifest(tmp_path / "none.csv")
    assert caught.value.code == "no_data"


@pytest.mark.parametrize(
    ("usable", "cuts", "wanted"),
    [
        ("11111", [], [[0, 1, 2, 3, 4]]),
        ("11011", [], [[0, 1, 3, 4]]),
        ("111001111", [], [[0, 1, 2], [5, 6, 7, 8]]),
        ("111111", [3], [[0, 1, 2], [3, 4, 5]]),
        ("11111", [3], [[0, 1, 2]]),
        ("11100111", [4], [[0, 1, 2], [5, 6, 7]]),
        ("1" * 8, [], [[0, 1, 2, 3], [4, 5, 6, 7]]),
        ("000", [], []),
    ],
)
def test_stretches_end_at_cuts_and_gaps(usable, cuts, wanted):
    parts = stretches(np.array([c == "1" for c in usable]), cuts, LIMITS)
    assert [part.tolist() for part in parts] == wanted


def test_turned_heads_are_measured_by_their_nose():
    assert abs(head_turn(MEAN_FACE)) < 0.05
    turned = MEAN_FACE.copy()
    eyes = np.linalg.norm(MEAN_FACE[42:48].mean(0) - MEAN_FACE[36:42].mean(0))
    turned[30, 0] += 0.4 * eyes
    assert head_turn(turned) - head_turn(MEAN_FACE) == pytest.approx(0.4, abs=1e-3)
    # Leaning and size do not count.
    spin = np.array([[0.0, 1.0], [-1.0, 0.0]])
    assert head_turn(3 * turned @ spin) == pytest.approx(head_turn(turned), abs=1e-6)
    assert face_extent(3 * MEAN_FACE[None]) == pytest.approx(3 * face_extent(MEAN_FACE))


def test_blur_lowers_sharpness():
    crop = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    crop = cv2.resize(crop, (256, 256))
    blurred = cv2.GaussianBlur(crop, (0, 0), 4)
    assert sharpness(blurred, MEAN_FACE) < 0.05 * sharpness(crop, MEAN_FACE)


def test_impossible_limits_are_refused():
    with pytest.raises(GflaError):
        Quality(fewest_frames=10, most_frames=5)
