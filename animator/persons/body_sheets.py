"""Sheets of bodies: joints over frames, and what retargeting makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from animator.media.sheet import Row, SheetTile, draw_sheet
from animator.persons.figure import GHOST, LEFT, MIDDLE, PALE, RIGHT, draw_body
from animator.persons.retargeting import Motion, choose_anchor, retarget
from gfla.arrays import Picture
from gfla.joints import MISSING, Joints, extent, found

KEYS = ((RIGHT, "the person's right"), (LEFT, "the person's left"), (MIDDLE, "middle"))
TILES = 8
"""Frames of a row, evenly spaced."""
SPACE = 0.15
"""Left free around bodies, in parts of their extent."""


@dataclass(frozen=True, eq=False)
class Case:
    """A source and what moves it.

    Attributes:
        title: a few words.
        source: 18 x 2 pixels.
        driving: T x 18 x 2 pixels of another picture.
        picture: of the source, uint8 H W 3; None for a white ground.
    """

    title: str
    source: Joints
    driving: Joints
    picture: Picture | None = None


def spaced(frames: int, most: int = TILES) -> list[int]:
    """Numbers of at most so many frames, evenly spaced."""
    return sorted({int(n) for n in np.linspace(0, frames - 1, min(most, frames)).round()})


def joints_sheet(
    title: str, lines: Sequence[str], pictures: dict[int, Picture], joints: Joints
) -> Picture:
    """Joints over some frames of a video.

    Args:
        title: at the head.
        lines: below it.
        pictures: frames by number.
        joints: T x 18 x 2 pixels of all frames.
    """
    window = _around(joints[list(pictures)])
    tiles = [
        SheetTile(
            draw_body(picture, joints[number])[window],
            f"frame {number}",
            f"{found(joints[number]).sum()} of {joints.shape[1]} joints",
        )
        for number, picture in sorted(pictures.items())
    ]
    text = "The person who is followed, and the joints that were found."
    return draw_sheet(title, lines, [Row("Joints", text, tiles, keys=KEYS)])


def retargeting_sheet(title: str, lines: Sequence[str], cases: Sequence[Case]) -> Picture:
    """The driver's frames, and the source's joints in them by either motion.

    Args:
        title: at the head.
        lines: below it.
        cases: a group of rows each.
    """
    rows = []
    for case in cases:
        anchor = case.driving[choose_anchor(case.source, case.driving)]
        chosen = spaced(len(case.driving), 4)
        rows.append(Row(case.title, "The driver.", _tiles(case.driving, chosen, None), keys=KEYS))
        motions: tuple[tuple[Motion, str], ...] = (
            ("relative", "Relative: the source's own limbs. Grey is the source."),
            ("absolute", "Absolute: the driver's body, scaled and placed by the torso."),
        )
        for motion, text in motions:
            target = retarget(case.source, case.driving, anchor, motion)
            tiles = _tiles(target, chosen, case)
            rows.append(Row("", text, tiles))
    return draw_sheet(title, lines, rows)


def _around(joints: Joints) -> tuple[slice, slice]:
    """The rows and columns of a picture that show all bodies."""
    if not found(joints).any():
        return slice(None), slice(None)
    left, top, right, bottom = extent(joints)
    side = max(right - left, bottom - top, 1) * (1 + 2 * SPACE)
    starts = ((top + bottom - side) / 2, (left + right - side) / 2)
    rows, columns = (slice(max(round(at), 0), max(round(at + side), 1)) for at in starts)
    return rows, columns


def _tiles(joints: Joints, chosen: Sequence[int], case: Case | None) -> list[SheetTile]:
    ghost = None if case is None else case.source
    picture = None if case is None else case.picture
    if picture is None:
        picture, joints, ghost = _on_paper(joints, ghost)
    tiles = []
    for number in chosen:
        ground = picture if ghost is None else draw_body(picture, ghost, GHOST)
        tiles.append(SheetTile(draw_body(ground, joints[number]), f"frame {number}", ""))
    return tiles


def _on_paper(joints: Joints, ghost: Joints | None) -> tuple[Picture, Joints, Joints | None]:
    """A white picture around all of the bodies, and the bodies in it."""
    everybody = joints if ghost is None else np.concatenate([joints, ghost[None]])
    left, top, right, bottom = extent(everybody)
    side = max(right - left, bottom - top) * (1 + 2 * SPACE)
    corner = np.array([left + right - side, top + bottom - side]) / 2
    scale = 640 / side

    def placed(bodies: Joints) -> Joints:
        return np.where(found(bodies)[..., None], (bodies - corner) * scale, MISSING)

    paper = np.full((640, 640, 3), PALE, np.uint8)
    return paper, placed(joints), None if ghost is None else placed(ghost)
