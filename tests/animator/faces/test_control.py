"""Head and face moved apart, on heads whose angles and expressions are known."""

from __future__ import annotations

from itertools import chain, combinations, product
from typing import Literal, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.faces import control
from animator.faces.control import FACE_REGIONS, REGIONS, Controls, retarget_controlled
from animator.faces.geometry import face_size
from animator.faces.head import fit_pose, learn_head
from animator.faces.motion import EYES, choose_anchor, retarget, seen_from
from animator.options import Region
from tests.synthetic_heads import person, seen, talk, waves

Points = NDArray[np.float32]
Mode = Literal["relative", "absolute"]

FRAMES = 40
MODES: tuple[Mode, ...] = ("relative", "absolute")
SOURCE = seen(person(9), np.array([5.0, 3.0, -4.0])).astype(np.float32)


def driving(seed: int = 1, most: float = 10, noise: float = 0.3) -> Points:
    angles, face = waves(seed, FRAMES, most), talk(seed, FRAMES)
    return seen(person(seed), angles, face, scale=50, noise=noise).astype(np.float32)


def moved(
    points: Points, mode: Mode = "relative", source: Points = SOURCE, **how: object
) -> Points:
    anchor = points[choose_anchor(source, points, "auto")]
    controls = Controls(**how)  # type: ignore[arg-type]
    return retarget_controlled(source, points, anchor, mode, controls)[0]


def only(*names: str) -> dict[str, object]:
    return {"regions": frozenset(names)}


def far(points: Points, start: Points = SOURCE) -> float:
    return float(np.sqrt(((points - start) ** 2).sum(-1).mean()))


def test_regions_are_those_of_a_job() -> None:
    assert get_args(Region) == REGIONS


@pytest.mark.parametrize("mode", MODES)
def test_all_of_the_motion_is_what_it_was_bit_for_bit(mode: Mode) -> None:
    points = driving(most=40)
    plain = retarget(SOURCE, points, points[choose_anchor(SOURCE, points, "auto")], mode)
    assert np.array_equal(moved(points, mode), plain)


@pytest.mark.parametrize("mode", MODES)
def test_no_strength_is_the_source(mode: Mode) -> None:
    assert np.abs(moved(driving(), mode, head=0, expression=0) - SOURCE).max() < 1e-4
    assert np.abs(moved(driving(), mode, head=0, **only("head")) - SOURCE).max() < 1e-4


@pytest.mark.parametrize("mode", MODES)
def test_nothing_leaps_on_the_way_to_all_of_the_motion(mode: Mode) -> None:
    points = driving(most=8, noise=0)
    whole = moved(points, mode)
    assert np.abs(moved(points, mode, head=1 - 1e-6, expression=1 - 1e-6) - whole).max() < 0.01
    steps = [moved(points, mode, head=x, expression=x) for x in np.linspace(0, 2, 9)]
    changes = [far(b, a) for a, b in zip(steps, steps[1:], strict=False)]
    assert max(changes) < 2 * min(changes)


@pytest.mark.parametrize("mode", MODES)
def test_complements_add_up(mode: Mode) -> None:
    """With the head in both and with it in neither, every two sets that make the whole face."""
    # Lids that have crossed are parted only where something is controlled, so without noise.
    points = driving(most=8, noise=0)[::3]
    whole, head = moved(points, mode), moved(points, mode, **only("head"))
    face = moved(points, mode, **only(*FACE_REGIONS))
    for names in chain.from_iterable(combinations(FACE_REGIONS[1:], count) for count in range(3)):
        chosen = {FACE_REGIONS[0], *names}
        others = set(FACE_REGIONS) - chosen
        alone = moved(points, mode, **only(*chosen)) + moved(points, mode, **only(*others))
        assert np.abs(alone - SOURCE - face).max() < 0.2
        turned = moved(points, mode, **only("head", *chosen))
        turned = turned + moved(points, mode, **only("head", *others))
        assert np.abs(turned - head - whole).max() < 0.2


def test_head_and_face_make_the_whole() -> None:
    """The face of one result, as the head of the other one shows it."""
    points = driving(most=8, noise=0)
    whole, head = moved(points), moved(points, **only("head"))
    face = moved(points, **only(*FACE_REGIONS))
    own = learn_head(SOURCE[None])
    still, turned = fit_pose(SOURCE, own), fit_pose(head, own)
    look = turned.rotation[:, :2, :2] @ np.linalg.inv(still.rotation[:2, :2])
    grown = (turned.scale / still.scale)[:, None, None]
    sums = head + grown * ((face - SOURCE) @ np.swapaxes(look, -1, -2))
    assert np.sqrt(((sums - whole) ** 2).mean()) < 0.1
    assert np.percentile(np.abs(sums - whole), 95) < 0.2


def test_what_is_left_out_stays_as_in_the_source() -> None:
    points = driving(most=15)
    rows = {"brows": slice(17, 27), "eyes": slice(36, 48), "mouth": slice(48, 68)}
    for name, place in rows.items():
        rest = moved(points, **only(*(set(FACE_REGIONS) - {name})))
        assert np.abs((rest - SOURCE)[:, place]).max() < 0.05, name
        alone = moved(points, **only(name))
        assert far(alone[:, place], SOURCE[place]) > 0.5, name
    lips = moved(points, **only("mouth"))
    assert np.abs((lips - SOURCE)[:, 36:48]).max() < 0.05
    # The chin gives way to an open mouth, by less than the lip.
    chin, lip = (np.ptp(lips[:, row, 1]) for row in (8, 57))
    assert 0.2 * lip < chin < 0.8 * lip


def test_the_head_turns_without_the_face_and_the_face_moves_without_the_head() -> None:
    points = driving(most=15)
    own = learn_head(SOURCE[None])
    rest = fit_pose(SOURCE, own).angles
    head, face = moved(points, **only("head")), moved(points, **only(*FACE_REGIONS))
    whole = moved(points)
    turn = np.abs(fit_pose(whole, own).angles - rest).mean(0)
    assert (np.abs(fit_pose(head, own).angles - rest).mean(0) > 0.8 * turn).all()
    assert (np.abs(fit_pose(face, own).angles - rest).mean(0) < 1.2).all()
    gap = whole[:, 66, 1] - whole[:, 62, 1]
    assert np.ptp(gap) > 4
    assert np.ptp(head[:, 66, 1] - head[:, 62, 1]) < 0.2 * np.ptp(gap)
    assert np.ptp(face[:, 66, 1] - face[:, 62, 1]) > 0.8 * np.ptp(gap)


@pytest.mark.parametrize("mode", MODES)
def test_lips_never_cross_and_lids_never_pass(mode: Mode) -> None:
    rng = np.random.default_rng(0)
    for number in range(20):
        points = driving(number % 7, most=25, noise=1.0)
        source = seen(person(number), rng.normal(0, 12, 3)).astype(np.float32)
        some = rng.permutation(REGIONS)[: rng.integers(1, 6)]
        head, face = rng.uniform(0, 4, 2)
        result = moved(points, mode, source, head=head, expression=face, **only(*some))
        assert np.isfinite(result).all()
        slack = 1e-3 * face_size(source)
        for corners, upper, lower in (((48, 54), (61, 62, 63), (67, 66, 65)), *EYES):
            local, _, _ = seen_from(result, corners, [*upper, *lower])
            half = len(upper)
            if corners[0] == 48 and "mouth" not in some:
                continue  # the source's own mouth, which the head may turn
            assert (local[:, half:] - local[:, :half]).imag.min() > -slack, (some, corners)


def test_more_than_the_networks_know_is_held_back_softly() -> None:
    points = driving(most=25, noise=0)
    anchor = points[choose_anchor(SOURCE, points, "auto")]
    own = learn_head(SOURCE[None])
    turned, beyond = retarget_controlled(
        SOURCE, points, anchor, "relative", Controls(head=2, expression=0.5)
    )
    assert 5 < beyond.sum() < FRAMES
    assert np.abs(fit_pose(turned, own).angles).max() < 38
    _, calm = retarget_controlled(SOURCE, points, anchor, "relative", Controls(head=0.3))
    assert not calm.any()
    _, plain = retarget_controlled(SOURCE, points, anchor, "relative")
    assert 0 < plain.sum() < beyond.sum()
    # No frame leaps where the limit sets in.
    steps = np.abs(np.diff(turned, axis=0)).max()
    assert steps < 2.2 * np.abs(np.diff(moved(points), axis=0)).max()


@pytest.mark.parametrize(("head", "expression"), list(product((0.0, 1.0, 2.0), repeat=2)))
def test_no_new_jitter(head: float, expression: float) -> None:
    """A face that is still but for noise does not shake more than the motion itself does."""
    still = np.zeros((FRAMES, 3))
    points = seen(person(2), still, scale=50, noise=0.5).astype(np.float32)
    plain = np.diff(moved(points), 2, axis=0).std()
    result = moved(points, head=head, expression=expression)
    assert np.diff(result, 2, axis=0).std() <= 1.15 * max(head, expression) * plain


def test_long_videos_are_moved_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    points = driving()
    whole = moved(points, head=0.5)
    monkeypatch.setattr(control, "_PART", 7)
    assert np.abs(moved(points, head=0.5) - whole).max() < 1e-4


def test_of_odd_input() -> None:
    flat = np.zeros((2, 68, 2), np.float32)
    for mode in MODES:
        result, beyond = retarget_controlled(SOURCE, flat, flat[0], mode, Controls(0.5, 2))
        assert np.isfinite(result).all() and beyond.shape == (2,)
    with pytest.raises(AnimatorError, match="motion is 'both'"):
        retarget_controlled(SOURCE, flat, flat[0], "both", Controls(0.5))  # type: ignore[arg-type]
