"""Measures of the inputs of a job that shows an object from other sides, as a check has them."""

from __future__ import annotations

from animator.animation.objects.sides import sides
from animator.checks.persons import unseen_facts
from animator.checks.report import VIEWS, DrivingFacts, SourceFacts
from animator.media.decode import MediaLimits, read_picture
from animator.spec import JobSpec
from animator.views.turntable import read_view_path


def look_at_object(subject: str, spec: JobSpec, limits: MediaLimits) -> SourceFacts | DrivingFacts:
    """Measure the picture, or the views that are asked for.

    Raises:
        AnimatorError: those of `read_picture` and `animator.animation.objects.sides.sides`.
    """
    if subject == "source":
        still = read_picture(spec.source, limits)
        height, width = still.pixels.shape[:2]
        return SourceFacts(width, height, 0, None, still.notes)
    shown = sides(spec, read_view_path(spec.driving.plain), limits)
    assert shown.rate is not None
    return unseen_facts(float(shown.rate), *shown.size, len(shown.landmarks), VIEWS)
