from __future__ import annotations

import numpy as np
import pytest

from animator.persons.skeleton import (
    HIPS,
    KINDS,
    LIMBS,
    PELVIS,
    as_joints,
    complete,
    lengths,
    sizes,
    there,
    unit,
)
from animator.samples.dancer import Build, dance
from gfla.joints import JOINTS, NECK, SHOULDERS

BUILD = Build()
BODY = dance(BUILD, np.zeros(1))[0]


def test_limbs_are_a_tree_of_all_joints() -> None:
    assert sorted(limb.joint for limb in LIMBS) == list(range(len(JOINTS)))
    assert LIMBS[0].parent == PELVIS
    known = {PELVIS}
    for limb in LIMBS:
        assert limb.parent in known
        known.add(limb.joint)


def test_the_middle_is_guessed_from_one_side() -> None:
    whole = complete(BODY)
    assert np.allclose(whole[PELVIS], BODY[list(HIPS)].mean(0))
    for joint in (HIPS[0], SHOULDERS[1]):
        part = BODY.copy()
        part[joint] = -1
        if joint in SHOULDERS:
            part[NECK] = -1
        assert np.allclose(complete(part)[[NECK, PELVIS]], whole[[NECK, PELVIS]], atol=2)
    part[[*HIPS]] = -1
    assert not there(complete(part))[PELVIS] and there(complete(part))[NECK]


def test_lengths_and_the_size_of_a_body() -> None:
    measured = dict(zip(KINDS, lengths(complete(BODY)), strict=True))
    assert measured["torso"] == pytest.approx(BUILD.torso)
    assert measured["thigh"] == pytest.approx(BUILD.leg)
    assert sizes(BODY[None]) == pytest.approx(BUILD.torso)
    # Without hips, and bent towards the camera: by the other limbs.
    half = BODY.copy()
    half[[n for n, name in enumerate(JOINTS) if name.endswith(("hip", "knee", "ankle"))]] = -1
    assert sizes(half[None]) == pytest.approx(BUILD.torso, rel=0.1)
    bent = np.array(list(measured.values()))
    bent[0] *= 0.4
    assert unit(bent) == pytest.approx(BUILD.torso, rel=0.1)
    assert sizes(np.full((1, 18, 2), -1.0)) == 1


def test_no_place_passes_for_the_mark_of_missing_joints() -> None:
    body = complete(np.full((18, 2), 5.0))
    body[3] = (-1, 8)
    joints = as_joints(body, np.arange(18) != 4)
    assert (joints[3] != -1).all() and (joints[4] == -1).all() and (joints[5] == 5).all()
