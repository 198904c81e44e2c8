"""The released script's mask, against the same picture drawn pixel by pixel from its definition."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gfla.data.prepare.market import mask_path, person_mask, write_mask
from gfla.evaluation.masks import released_mask
from gfla.evaluation.pairs import open_pairs
from gfla.evaluation.protocol import PictureOptions, Protocol
from tests.gfla.person_files import standing, write_prepared

# OpenPose's joints counted from 1, as the script writes its limbs.
ONES = (
    "2-3 2-6 3-4 4-5 6-7 7-8 2-9 9-10 10-11 2-12 12-13 13-14 2-1 1-15 15-17 1-16 16-18 "
    "2-17 2-18 9-12 12-6 9-3 17-18"
)


def drawn(joints, size):
    """Half a limb is four pixels, a joint's disc as large, a closing of five by five."""
    height, width = size
    there = [i for i, (x, y) in enumerate(joints) if x != -1 and y != -1]
    inside = set()
    for pair in ONES.split():
        a, b = (int(part) - 1 for part in pair.split("-"))
        if a not in there or b not in there:
            continue
        (ax, ay), (bx, by) = joints[a], joints[b]
        long = math.hypot(bx - ax, by - ay)
        for y in range(height):
            for x in range(width):
                along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / long
                beside = ((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / long
                if 0 <= along <= long and abs(beside) <= 4:
                    inside.add((y, x))
    for i in there:
        inside |= {
            (y, x) for y in range(height) for x in range(width) if math.dist((x, y), joints[i]) < 4
        }
    near = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    pixels = {(y, x) for y in range(height) for x in range(width)}
    grown = {(y, x) for y, x in pixels if any((y + v, x + u) in inside for v, u in near)}
    closed = np.zeros(size, np.uint8)
    for y, x in pixels:
        around = [(y + v, x + u) for v, u in near if (y + v, x + u) in pixels]
        closed[y, x] = 255 * all(pixel in grown for pixel in around)
    return closed


@pytest.fixture(scope="module")
def joints():
    found = standing((64, 32), 3).round()
    found[4] = -1
    return found


def test_the_mask_is_rectangles_discs_and_a_closing(joints):
    ours = released_mask(joints, (64, 32))
    assert np.array_equal(ours, drawn(joints, (64, 32)))
    assert released_mask(np.full((18, 2), -1.0), (64, 32)).max() == 0
    twice = joints.copy()
    twice[3] = twice[2]  # a limb without a length
    assert released_mask(twice, (64, 32)).max() == 255


def test_the_mask_takes_less_than_hulls():
    figure = standing((128, 64), 0)
    released, hulls = (make(figure, (128, 64)) > 0 for make in (released_mask, person_mask))
    assert 0.6 < (released & hulls).sum() / (released | hulls).sum() < 0.95
    assert released.sum() < hulls.sum()


def test_a_protocol_names_the_mask(tmp_path):
    folder = write_prepared(tmp_path, (64, 32), ("a.png", "b.png"))
    hulls = Protocol("test", "pairs", ("l1",), pictures=PictureOptions(64, 32))
    pairs = open_pairs(replace(hulls, mask="released"), folder)
    target = pairs.names[0].split(" -> ")[1]
    wanted = released_mask(pairs.samples.joints[target], (64, 32)) > 0
    # Masks that were prepared are the other kind.
    write_mask((mask_path(folder, target), np.full((64, 32), 255, np.uint8)))
    assert np.array_equal(pairs.stacked([0])["mask"][0, 0].numpy() > 0, wanted)
    assert open_pairs(hulls, folder).stacked([0])["mask"].min() == 1
