"""Plans of jobs, for tests of what is made of them."""

from __future__ import annotations

from animator.animation.faces.plan import make_plan
from animator.animation.inputs import open_inputs
from animator.animation.plan import JobPlan
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch


def planned(spec: JobSpec) -> JobPlan:
    """The plan of a job with the settings of the environment; nobody watches or stops it."""
    watch = Watch(lambda progress: None, lambda: False)
    settings = Settings.from_environment()
    return make_plan(spec, open_inputs(spec, settings), settings, watch)
