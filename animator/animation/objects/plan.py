"""Plans of jobs that show an object from other sides."""

from __future__ import annotations

import numpy as np

from animator.animation.composing.view import View, WholeView
from animator.animation.inputs import JobInputs
from animator.animation.objects.figure import ObjectPlan, ObjectSource
from animator.animation.objects.generator import ObjectGenerator
from animator.animation.objects.sides import sides
from animator.animation.persons.plan import WindowView
from animator.animation.plan import JobPlan, own_rate, refuse_too_many
from animator.animation.resampling import duration, resample, result_times
from animator.animation.result_time import result_time
from animator.faces.framing import even
from animator.files.unchanged import check_unchanged
from animator.media.decode import read_picture
from animator.persons.windows import Window
from animator.settings import Settings
from animator.spec import JobSpec
from animator.views.turntable import read_view_path
from animator.watch import Watch


def plan_object(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """Read the picture and the sides that it is to be shown from.

    Raises:
        AnimatorError: invalid_view, no_frames, too_long, input_changed, and those of
            `animator.media.decode.read_picture`.
    """
    limits = settings.limits()
    with watch.stage("load"):
        still = read_picture(spec.source, limits)
        path = read_view_path(spec.driving.plain)
        check_unchanged(inputs.files)
    # When each side is shown, and which one at the times of the result.
    driving = sides(spec, path, limits)
    kept = np.arange(len(driving.landmarks))
    time = result_time(driving, kept)
    if (rate := own_rate(spec, time)) is not None:
        refuse_too_many(round(duration(time) * rate), limits)
        _, kept = resample(driving.landmarks.views, kept, time, rate, ())
        time = result_times(time, rate)
    source = ObjectSource(still.pixels, np.array([path.source], np.float32), still.notes)
    shown = ObjectPlan(source, driving, driving.landmarks.views[kept], kept)
    # Larger than the networks render is of no use.
    generator = inputs.model.generator
    assert isinstance(generator, ObjectGenerator)
    size = generator.side if spec.size == "auto" else spec.size
    return JobPlan(inputs.model, (shown,), time, even(size), inputs.hashes, (), rate)


def object_view(spec: JobSpec, plan: JobPlan) -> View[Window]:
    """What the result shows: the picture as it is, or as wide as high."""
    shown = plan.face
    assert isinstance(shown, ObjectPlan)
    if spec.shows == "paste-back":
        height, width = shown.source.picture.shape[:2]
        return WholeView(width, height)
    return WindowView(shown.source.square, plan.size, plan.size)
