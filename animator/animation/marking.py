"""The marks of a result, as its job makes them."""

from __future__ import annotations

from animator import __version__
from animator.animation.kinds import subject_of
from animator.animation.plan import JobPlan
from animator.provenance.mark import Mark, source_type, without_paths
from animator.spec import JobSpec
from animator.values import options_of

_OF_THE_MACHINE = ("device",)
"""Options that do not say what the result shows."""


def mark_of(spec: JobSpec, plan: JobPlan) -> Mark:
    """The mark of a job's result, but for the hash of its media."""
    settings = {
        name: getattr(spec, name)
        for name, item in options_of(JobSpec).items()
        if item.kind != "location" and name not in _OF_THE_MACHINE
    }
    settings["face"] = spec.face_by_name()  # its files are among the hashes
    # What "auto" came to here is something else on another machine.
    settings["detector"] = subject_of(plan).detector(spec)
    settings["precision"] = plan.generator.precision
    return Mark(
        __version__,
        plan.generator.name,
        source_type(spec.shows),
        {**plan.hashes, "weights": plan.generator.sha256},
        without_paths(settings),
    )
