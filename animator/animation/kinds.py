"""The subjects of jobs by their kinds, which the weights tell.

A process that animates faces alone, as most do, imports nothing of persons and objects.
"""

from __future__ import annotations

from functools import cache

from animator.animation.faces.subject import FaceSubject
from animator.animation.inputs import JobInputs
from animator.animation.plan import JobPlan
from animator.animation.subject import Subject
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import SubjectKind


@cache
def subject_of_kind(kind: SubjectKind) -> Subject:
    """What a kind stands for."""
    if kind == "person":
        from animator.animation.persons.subject import PersonSubject

        return PersonSubject()
    if kind == "object":
        from animator.animation.objects.subject import ObjectSubject

        return ObjectSubject()
    return FaceSubject()


def subject_of(plan: JobPlan) -> Subject:
    """What a plan animates."""
    return subject_of_kind(plan.generator.subject)


def plan_job(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """The plan of a job, whatever its weights animate; errors as of `Subject.plan`."""
    kind = inputs.model.generator.subject
    return subject_of_kind(kind).plan(spec, inputs, settings, watch)
