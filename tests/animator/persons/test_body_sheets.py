from __future__ import annotations

import numpy as np

from animator.persons.body_sheets import Case, joints_sheet, retargeting_sheet, spaced
from animator.persons.figure import LEFT, RIGHT, draw_body
from animator.samples.dancer import SHORT, TALL, dance
from gfla.joints import JOINTS

SECONDS = np.arange(8) / 4
WHITE = np.full((480, 640, 3), 255, np.uint8)


def shows(sheet: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((sheet == np.array(colour, np.uint8)).all(-1).sum() > 200)


def test_a_figure_shows_sides_apart_and_missing_joints_not_at_all() -> None:
    joints = dance(TALL, SECONDS[:1])[0]
    drawn = draw_body(WHITE, joints)
    assert (WHITE == 255).all()
    for name, colour in (("right wrist", RIGHT), ("left ankle", LEFT)):
        x, y = joints[JOINTS.index(name)].round().astype(int)
        assert tuple(drawn[y, x]) == colour
    x, y = joints[JOINTS.index("right wrist")].round().astype(int)
    joints[[JOINTS.index("right wrist"), JOINTS.index("left hip")]] = -1
    assert (draw_body(WHITE, joints)[y, x] == 255).all()
    assert (draw_body(WHITE, np.full((18, 2), -1.0)) == 255).all()
    assert draw_body(WHITE, np.full((18, 2), 1e6)).shape == WHITE.shape


def test_sheets() -> None:
    assert spaced(9, 3) == [0, 4, 8] and spaced(2, 8) == [0, 1]
    tall, short = dance(TALL, SECONDS), dance(SHORT, SECONDS)
    sheet = retargeting_sheet("A", ["b"], [Case("c", tall[0], short)])
    assert sheet.dtype == np.uint8 and shows(sheet, RIGHT) and shows(sheet, LEFT)
    sheet = retargeting_sheet("A", [], [Case("c", tall[0], short, WHITE)])
    assert sheet.shape[0] > 1000
    short[3] = -1
    sheet = joints_sheet("A", [], {0: WHITE, 3: WHITE}, short)
    assert shows(sheet, RIGHT)
