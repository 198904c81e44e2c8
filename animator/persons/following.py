"""One person kept to from frame to frame, where others are in the picture too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from animator.errors import AnimatorError
from animator.persons.body import SAME_BODY, Body, BodyDetector, FollowingDetector, overlap
from gfla.joints import extent, found

BodyChoice = Literal["largest"] | int
"""Which of several persons: the largest, or the N-th from the left of the picture, from 1."""

REACH = 0.25
"""How far a person gets from one frame to the next, in units of the longer side of the box."""
GROWTH, FARTHEST = 0.02, 3.0
"""What is added to that for every frame in which a person is away, and the most that it gets."""
FORESEEN = 10
"""Frames for which somebody who is away is expected to have gone on as before."""
LOOK_AROUND = 15
"""Frames between two looks at who else is there, with a detector that follows persons itself."""
PATIENCE = 25
"""Frames for which somebody is waited for where shots are known and others have been there."""
REMEMBERED = 50
"""Frames for which the places of the other persons are known."""
MOST = 100
"""Persons of a frame, and others before, who are told apart; of a crowd the largest."""
_ENOUGH = 3
"""Joints that two bodies must have in common to be compared by them."""


def check_body_choice(person: BodyChoice) -> None:
    """Refuse anything but "largest" and whole numbers from 1.

    Raises:
        AnimatorError: invalid_option.
    """
    if person == "largest" or (type(person) is int and person >= 1):
        return
    raise AnimatorError("invalid_option", f"person is {person!r}; allowed is largest, or 1, 2, ...")


def choose_body(bodies: Sequence[Body], person: BodyChoice) -> Body | None:
    """The person that was asked for, or None if there are fewer."""
    if person == "largest":
        return max(bodies, key=lambda body: body.area, default=None)
    from_left = sorted(bodies, key=lambda body: body.box[0] + body.box[2])
    return from_left[person - 1] if person <= len(from_left) else None


@dataclass(frozen=True, eq=False)
class _Seen:
    """Somebody as last seen: the body, the frames since, and its motion in pixels a frame."""

    body: Body
    since: int = 0
    motion: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))

    @property
    def reach(self) -> float:
        """How far from the place that is expected somebody may be, in units of the box."""
        return min(REACH + GROWTH * self.since, FARTHEST)

    @property
    def side(self) -> float:
        """The longer side of the box, or of the joints where these reach farther, in pixels."""
        there = self.body.joints[found(self.body.joints)]
        boxes = [self.body.box] + ([extent(self.body.joints)] if len(there) else [])
        return max(1e-6, *(max(b[2] - b[0], b[3] - b[1]) for b in boxes))

    def older(self) -> _Seen:
        """The same a frame later."""
        return replace(self, since=self.since + 1)

    def again(self, body: Body) -> _Seen:
        """The same person, seen in the next frame."""
        motion = np.median(_motions(self.body, body), 0) / (self.since + 1)
        return _Seen(body, 0, (self.motion + motion) / 2)


def _motions(one: Body, other: Body) -> NDArray[np.float64]:
    """How far the joints of two bodies are apart, N x 2; of their boxes, if they share too few."""
    common = found(one.joints) & found(other.joints)
    # Joints tell apart persons who stand before one another.
    if common.sum() >= _ENOUGH:
        return np.asarray(other.joints[common] - one.joints[common])
    return (np.array(other.box) - np.array(one.box)).reshape(2, 2).mean(0, keepdims=True)


def _apart(known: Sequence[_Seen], bodies: Sequence[Body]) -> NDArray[np.float64]:
    """How far each body is from where each who is known is expected, K x N.

    In units of the longer side of the box of the one who is known.
    """
    if not (known and bodies):
        return np.zeros((len(known), len(bodies)))
    moved = np.array([seen.motion * min(seen.since + 1, FORESEEN) for seen in known])
    sides = np.array([seen.side for seen in known])
    # By the joints that both have, or, if these are too few, by the middles of the boxes.
    one = np.array([seen.body.joints for seen in known])[:, None]
    other = np.array([body.joints for body in bodies])[None]
    common = found(one) & found(other)
    far = np.linalg.norm(other - one - moved[:, None, None], axis=-1)
    by_joints = (far * common).sum(-1) / np.maximum(common.sum(-1), 1)
    middles = [
        np.array([body.box for body in there]).reshape(-1, 2, 2).mean(1)
        for there in ([seen.body for seen in known], bodies)
    ]
    by_boxes = np.linalg.norm(middles[1][None] - middles[0][:, None] - moved[:, None], axis=-1)
    return np.asarray(np.where(common.sum(-1) >= _ENOUGH, by_joints, by_boxes) / sides[:, None])


class PersonFollower:
    """Keeps to one person through the frames of a shot.

    Whoever is asked for in the first frame with anybody is followed; if that shows fewer persons,
    its largest. A person who is away is taken up again near the place where that was, in a radius
    that grows, and never where somebody else was last seen. Where nobody goes on from the frames
    before there is a new shot, and the choice is made again.

    Args:
        person: whom to follow.

    Attributes:
        persons: the largest number of persons in one frame.

    Raises:
        AnimatorError: invalid_option for another choice.
    """

    def __init__(self, person: BodyChoice = "largest") -> None:
        check_body_choice(person)
        self.person = person
        self.persons = 0
        self._frames = 0
        self._followed: _Seen | None = None
        self._others: list[_Seen] = []

    @property
    def before(self) -> Body | None:
        """Who is followed, as last seen; None for nobody yet."""
        return None if self._followed is None else self._followed.body

    def new_shot(self) -> None:
        """Forget everybody: the next frame shows something else."""
        self._followed, self._others = None, []

    def look(self, picture: NDArray[np.uint8], detector: BodyDetector) -> Body | None:
        """The one who is followed in the next frame, a picture uint8 H W 3 RGB.

        New shots are for the caller to tell (``new_shot``).
        """
        self._frames += 1
        if self.before is None or not isinstance(detector, FollowingDetector):
            return self._next(detector.find(picture), PATIENCE)
        bodies = detector.find_after(picture, [self.before])
        if len(bodies) == 1 and self._frames % LOOK_AROUND == 0:
            others = detector.find(picture)
            bodies += [body for body in others if overlap(body, bodies[0]) < SAME_BODY]
        return self._next(bodies, PATIENCE)

    def next(self, bodies: Sequence[Body]) -> Body | None:
        """Who of these, the persons of the next frame, is the one who is followed."""
        return self._next(bodies, 0)

    def _next(self, bodies: Sequence[Body], patience: int) -> Body | None:
        """Likewise; somebody who is away for fewer frames than ``patience`` is waited for."""
        self.persons = max(self.persons, len(bodies))
        bodies = sorted(bodies, key=lambda body: -body.area)[:MOST]
        others = _apart(self._others, bodies)
        # Where there never was anybody else, whoever is there is the one.
        waits = self._followed is not None and self._followed.since < patience and self.persons > 1
        if bodies and not waits and self._all_new(bodies, others):
            self.new_shot()
            others = others[:0]
        if self._followed is None:
            chosen = choose_body(bodies, self.person) or choose_body(bodies, "largest")
            self._followed = None if chosen is None else _Seen(chosen)
        else:
            chosen = self._same(bodies, self._followed, others)
            seen = self._followed
            self._followed = seen.older() if chosen is None else seen.again(chosen)
        self._others = self._moved_on(bodies, others, chosen)
        return chosen

    def _same(
        self, bodies: Sequence[Body], followed: _Seen, others: NDArray[np.float64]
    ) -> Body | None:
        """The body that is nearest to where it is expected, and is not somebody else's."""
        (near,) = _apart([followed], bodies)
        for number in np.argsort(near, kind="stable").tolist():
            if near[number] > followed.reach:
                return None
            if (near[number] <= others[:, number]).all():
                return bodies[number]
        return None

    def _moved_on(
        self, bodies: Sequence[Body], apart: NDArray[np.float64], chosen: Body | None
    ) -> list[_Seen]:
        """The other persons, as last seen."""
        seen, left = [], apart.copy()
        for number, body in enumerate(bodies):
            if body is chosen:
                continue
            known = int(left[:, number].argmin()) if len(left) else 0
            if len(left) and left[known, number] <= self._others[known].reach:
                seen.append(self._others[known].again(body))
                left[known] = np.inf
            else:
                seen.append(_Seen(body))
        away = [
            other.older()
            for other, row in zip(self._others, left, strict=True)
            if other.since < REMEMBERED and not np.isinf(row).any()
        ]
        return (seen + away)[:MOST]

    def _all_new(self, bodies: Sequence[Body], others: NDArray[np.float64]) -> bool:
        """Whether nobody goes on from the frames before."""
        known = [] if self._followed is None else [self._followed]
        near = np.concatenate([_apart(known, bodies), others])
        reach = np.array([seen.reach for seen in (*known, *self._others)])
        return bool((near > reach[:, None]).all())


def follow_through(
    frames: Sequence[Sequence[Body]], person: BodyChoice = "largest"
) -> list[Body | None]:
    """One person in all frames of a clip that is known as a whole.

    The choice is made in the first frame that shows as many persons as it takes, and the person
    followed from there to both ends.

    Raises:
        AnimatorError: invalid_option for another choice.
    """
    check_body_choice(person)
    least = 1 if person == "largest" else person
    enough = (number for number, bodies in enumerate(frames) if len(bodies) >= least)
    start = next(enough, 0)
    forwards = PersonFollower(person)
    after = [forwards.next(bodies) for bodies in frames[start:]]
    backwards = PersonFollower(person)
    if start:
        backwards.next(frames[start])
    before = [backwards.next(bodies) for bodies in reversed(frames[:start])]
    return [*reversed(before), *after]
