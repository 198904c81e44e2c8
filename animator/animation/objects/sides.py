"""The sides from which an object is shown, and when: what moves it, as videos move faces."""

from __future__ import annotations

from fractions import Fraction

from animator.animation.driving import Followed
from animator.errors import AnimatorError
from animator.settings import MediaLimits
from animator.spec import JobSpec
from animator.views.compass import SIZE
from animator.views.track import ViewTrack
from animator.views.turntable import ViewPath

USUAL_RATE = Fraction(6)
"""Views a second where nothing else is asked for: once around takes three seconds."""


def sides(spec: JobSpec, path: ViewPath, limits: MediaLimits) -> Followed[ViewTrack]:
    """The sides that are shown between the job's start and end, each for the same time.

    Raises:
        AnimatorError: no_frames, too_long.
    """
    rate = USUAL_RATE if spec.driving_fps == "auto" else spec.driving_rate
    seconds = len(path.views) / rate
    if len(path.views) > limits.max_frames or seconds > limits.max_seconds:
        message = (
            f"There are {len(path.views)} views, which last {float(seconds):.0f} s; "
            f"{limits.max_frames} and {limits.max_seconds} s are allowed."
        )
        raise AnimatorError("too_long", message)
    whole = Followed(
        ViewTrack.of(path), list(range(len(path.views))), 1 / rate, rate, (SIZE, SIZE),
        (None, None), 1, (), pictures=False,
    )  # fmt: skip
    return whole.part(spec.start_seconds, spec.end_seconds)
