"""The faces of a job, all of them: those of the portrait, and those that move them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from animator.animation.driving import Driving
from animator.animation.faces.following import find_driving, find_moving_source
from animator.animation.faces.moving import as_driving, moves
from animator.animation.faces.moving_plan import check_moving
from animator.animation.faces.roles import Role, find_roles
from animator.animation.landmark_cache import LandmarkCache
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch


class Found(NamedTuple):
    """The faces of a job.

    Attributes:
        roles: those that move; of a portrait that is a video, one.
        drivings: what moves them, by the names of `JobSpec.drivings`.
        known: whether the landmarks of a file had been found before, by the names of
            `JobSpec.inputs`.
    """

    roles: list[Role]
    drivings: dict[str, Driving]
    known: dict[str, bool]


def find_faces_of(
    spec: JobSpec,
    hashes: Mapping[str, str],
    settings: Settings,
    watch: Watch,
    check: Callable[[], None],
    *,
    only_to_keep: bool = False,
) -> Found:
    """Find the faces that move, and follow those that move them.

    Args:
        spec: the job.
        hashes: SHA-256 of its files, by name.
        settings: what inputs may be at most, and where landmarks are kept.
        watch: takes times and progress.
        check: called once a file was read; sees that it is the one that has the hash.
        only_to_keep: as of `LandmarkCache`.

    Raises:
        AnimatorError: those of what it calls.
    """
    limits = settings.limits()
    with watch.stage("load"):
        moving = moves(spec, limits)
    # The portrait
    if moving:
        check_moving(spec)
        cache = LandmarkCache(as_driving(spec), settings, only_to_keep=only_to_keep)
        source, known_source = find_moving_source(
            spec, cache, hashes["source"], limits, watch, check
        )
        roles = [Role(source, None, "driving")]
    else:
        with watch.stage("load"):
            cache = LandmarkCache(spec, settings, only_to_keep=only_to_keep)
            roles, known_source = find_roles(spec, cache, hashes["source"], limits, check)
    # What moves it
    known = {"source": known_source}
    drivings: dict[str, Driving] = {}
    for name in spec.drivings:
        if any(role.driving == name for role in roles):
            watch.check()
            own = spec.of_driving(name)
            cache = LandmarkCache(own, settings, only_to_keep=only_to_keep)
            drivings[name], known[name] = find_driving(
                own, cache, hashes[name], limits, watch, check
            )
    return Found(roles, drivings, known)
