from __future__ import annotations

import numpy as np
import pytest

from animator.errors import AnimatorError
from animator.persons.gaps import fill_gaps
from animator.samples.dancer import Build, dance
from gfla.joints import JOINTS, found

SECONDS = np.arange(60) / 15
AT = {name: number for number, name in enumerate(JOINTS)}
ELBOW, WRIST, NOSE = AT["right elbow"], AT["right wrist"], AT["nose"]


def test_a_hidden_joint_goes_on_beside_the_one_that_it_hangs_on() -> None:
    joints = np.repeat(dance(Build(), SECONDS[:1]), 60, 0)
    joints[:, :, 0] += np.arange(60)[:, None]  # walks on
    gappy = joints.copy()
    gappy[20:30, WRIST] = -1
    for policy in ("hold", "interpolate", "skip", "fail"):
        assert np.allclose(fill_gaps(gappy, SECONDS, policy), joints)  # type: ignore[arg-type]


def test_held_and_interpolated_between() -> None:
    joints = np.repeat(dance(Build(), SECONDS[:1]), 5, 0)
    joints[4, WRIST] += (8, 0)
    joints[1:4, WRIST] = -1
    seconds = np.array([0, 1, 2, 3, 8]) / 8
    start = joints[0, WRIST]
    assert (fill_gaps(joints, seconds, "hold")[1:4, WRIST] == start).all()
    moved = fill_gaps(joints, seconds, "interpolate")[:, WRIST] - start
    assert np.allclose(moved, [[0, 0], [1, 0], [2, 0], [3, 0], [8, 0]])


def test_both_ends_and_whole_bodies_are_filled() -> None:
    joints = dance(Build(), SECONDS)
    joints[:3], joints[-2:] = -1, -1
    filled = fill_gaps(joints, SECONDS, "interpolate")
    assert (filled[:3] == joints[3]).all() and (filled[-2:] == joints[-3]).all()
    assert (filled[3:-2] == joints[3:-2]).all()


def test_joints_that_are_never_seen_stay_missing() -> None:
    joints = dance(Build(), SECONDS)
    joints[:, [ELBOW, AT["left ear"]]] = -1
    joints[10:12, WRIST] = -1
    seen = found(fill_gaps(joints, SECONDS, "hold"))
    assert not seen[:, [ELBOW, AT["left ear"]]].any()
    assert np.delete(seen, [ELBOW, AT["left ear"]], 1).all()


def test_a_face_that_is_turned_away_for_long_stays_away_and_a_wrist_does_not() -> None:
    joints = dance(Build(), SECONDS)
    joints[20:50, [NOSE, WRIST]] = -1
    joints[2:6, NOSE] = -1
    seen = found(fill_gaps(joints, SECONDS, "interpolate"))
    assert not seen[20:50, NOSE].any() and seen[:20, NOSE].all() and seen[50:, NOSE].all()
    assert seen[:, WRIST].all()
    joints[15:55] = -1  # nobody there: the whole body is held
    assert found(fill_gaps(joints, SECONDS, "hold"))[15:55].all()


def test_what_is_refused() -> None:
    joints = dance(Build(), SECONDS)
    for wrong, code in ((joints, "invalid_option"), (np.full_like(joints, -1), "no_body")):
        policy = "guess" if code == "invalid_option" else "hold"
        with pytest.raises(AnimatorError) as caught:
            fill_gaps(wrong, SECONDS, policy)  # type: ignore[arg-type]
        assert caught.value.code == code
    with pytest.raises(ValueError, match="times"):
        fill_gaps(joints, SECONDS[:-1], "hold")
