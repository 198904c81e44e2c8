"""The subjects of jobs by their kinds, which the weights tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from animator.animation.faces.subject import FaceSubject
from animator.animation.inputs import JobInputs
from animator.animation.objects.subject import ObjectSubject
from animator.animation.persons.subject import PersonSubject
from animator.animation.plan import JobPlan
from animator.animation.subject import Subject
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.subjects import DETECTORS, SubjectKind, check_options

SUBJECTS: Mapping[SubjectKind, Subject] = {
    "face": FaceSubject(),
    "person": PersonSubject(),
    "object": ObjectSubject(),
}


def subject_of(plan: JobPlan) -> Subject:
    """What a plan animates."""
    return SUBJECTS[plan.generator.subject]


def plan_job(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
    """The plan of a job, whatever its weights animate; errors as of `Subject.plan`."""
    return SUBJECTS[inputs.model.generator.subject].plan(spec, inputs, settings, watch)


def fitting(spec: JobSpec, kind: SubjectKind, settings: Settings) -> JobSpec:
    """A job as it is for its subject, with a detector of that kind.

    One that the process's settings name is of use for its own kind alone.

    Raises:
        AnimatorError: `invalid_option` for options that do not apply.
    """
    if spec.detector == settings.detector and spec.detector not in DETECTORS[kind]:
        spec = replace(spec, detector="auto")
    check_options(spec, kind)
    return spec
