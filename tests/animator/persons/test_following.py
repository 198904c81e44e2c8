from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import pytest

from animator.errors import AnimatorError
from animator.persons.bodies import Body
from animator.persons.following import MOST, PersonFollower, choose_body, follow_through
from animator.samples.dancer import Build, dance
from gfla.joints import extent

SECONDS = np.arange(40) / 20


def people(build: Build, x: float) -> list[Body]:
    joints = dance(build, SECONDS, (x, 400))
    return [Body(one, extent(one), 0.9) for one in joints]


BIG = people(Build(), 200)
SMALL = people(Build(torso=70, arm=35, leg=50), 500)


def test_who_is_chosen() -> None:
    there = [SMALL[0], BIG[0]]
    assert choose_body(there, "largest") is BIG[0]
    assert choose_body(there, 1) is BIG[0] and choose_body(there, 2) is SMALL[0]
    assert choose_body(there, 3) is None and choose_body([], "largest") is None
    for wrong in (0, -1, True, "tallest", 1.0):
        with pytest.raises(AnimatorError) as caught:
            PersonFollower(wrong)  # type: ignore[arg-type]
        assert caught.value.code == "invalid_option"


def test_one_person_is_followed_whatever_the_order_and_while_away() -> None:
    follower = PersonFollower(2)
    for number, pair in enumerate(zip(BIG, SMALL, strict=True)):
        there = list(pair) if number % 2 else list(pair[::-1])
        if 10 <= number < 20:  # away, and the other one is no stand-in
            assert follower.next([pair[0]]) is None
        elif number == 5:
            assert follower.next([]) is None
        else:
            assert follower.next(there) is pair[1]
    assert follower.persons == 2


def test_persons_who_cross_are_told_apart() -> None:
    right = people(Build(), 0)
    left = people(Build(torso=104, leg=70), 0)
    walk = np.linspace(0, 400, len(right))
    crossing = [
        [_moved(one, x), _moved(other, 400 - x)]
        for one, other, x in zip(right, left, walk, strict=True)
    ]
    followed = follow_through(crossing, 1)
    assert [body is pair[0] for body, pair in zip(followed, crossing, strict=True)].count(True) > 38
    assert followed[-1] is crossing[-1][0]


def test_a_new_shot_is_a_new_choice() -> None:
    follower = PersonFollower(1)
    assert follower.next([BIG[0], SMALL[0]]) is BIG[0]
    elsewhere = [_moved(BIG[1], 2000), _moved(SMALL[1], 900)]
    assert follower.next(elsewhere) is elsewhere[1]
    follower.new_shot()
    assert follower.next([BIG[2], SMALL[2]]) is BIG[2]


def test_of_a_whole_clip_the_choice_is_made_where_there_are_enough() -> None:
    frames = [[big] if number < 7 else [small, big] for number, (big, small)
              in enumerate(zip(BIG, SMALL, strict=True))]  # fmt: skip
    followed = follow_through(frames, 2)
    assert followed[:7] == [None] * 7 and followed[7:] == SMALL[7:]
    assert follow_through(frames, 3) == BIG and follow_through(frames) == BIG
    assert follow_through([], 2) == [] and follow_through([[], []]) == [None, None]


def _moved(body: Body, x: float) -> Body:
    joints = body.joints + [x, 0]
    return Body(joints, extent(joints), body.score)


class Following:
    """Finds both in every picture, and whom it is asked for where that one was, as long as `there`.

    The picture's value is the number of the frame.
    """

    def __init__(self, there: range) -> None:
        self.there = there

    def find(self, picture: np.ndarray) -> list[Body]:
        number = int(picture.flat[0])
        return [SMALL[number], *([BIG[number]] if number in self.there else [])]

    def find_after(self, picture: np.ndarray, before: list[Body]) -> list[Body]:
        number = int(picture.flat[0])
        if number in self.there and before[0] is BIG[number - 1]:
            return [BIG[number]]
        return self.find(picture)


def test_a_detector_that_follows_looks_around_so_that_nobody_is_a_stand_in() -> None:
    follower = PersonFollower()
    detector = Following(range(30))
    pictures = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 3), np.uint8)
    followed = [follower.look(picture, detector) for picture in pictures]
    assert followed[:30] == BIG[:30] and followed[30:] == [None] * 10
    assert follower.persons == 2


def test_where_shots_are_known_somebody_who_jumps_out_of_reach_is_waited_for() -> None:
    class Strangers(Following):
        others: Sequence[Body] = ()

        def find(self, picture: np.ndarray) -> list[Body]:
            number = int(picture.flat[0])
            there = [BIG[number]] if number in self.there else [_moved(SMALL[number], 900)]
            return [*there, *self.others] if number == 0 else there

    picture = np.zeros((1, 1, 3), np.uint8)
    for others, waits in ((SMALL[:1], 25), ([], 0)):
        follower, detector = PersonFollower(), Strangers(range(3))
        detector.others = others
        followed = [follower.look(picture + number, detector) for number in range(33)]
        assert followed[:3] == BIG[:3] and followed[3:28].count(None) == waits


def test_a_crowd_takes_no_longer_than_the_largest_of_it() -> None:
    one = BIG[0]
    places = [0.9 * one.joints + [30 * number, 0] for number in range(1, MOST)]
    crowd = [one, *(Body(joints, extent(joints), 0.9) for joints in places)]
    small = [Body(SMALL[0].joints * 0.1, extent(SMALL[0].joints * 0.1), 0.9)] * 2000
    follower = PersonFollower()
    began = time.process_time()
    followed = [follower.next([*small, *crowd]) for _ in range(20)]
    assert all(body is one for body in followed) and follower.persons == 2000 + MOST
    assert time.process_time() - began < 10  # one by one they took minutes
