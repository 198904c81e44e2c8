"""The inputs of a job as it begins: the loaded model, and the files with their hashes."""

from __future__ import annotations

from dataclasses import dataclass

from animator.animation.rollout.loading import Model, load_animating
from animator.files.unchanged import Unchanged, hashed
from animator.settings import Settings
from animator.spec import JobSpec


@dataclass(frozen=True, eq=False)
class JobInputs:
    """What a job begins with.

    Attributes:
        model: the loaded networks, and the engine that steps them.
        hashes: SHA-256 of the files, by name.
        files: those that somebody may change meanwhile.
    """

    model: Model
    hashes: dict[str, str]
    files: tuple[Unchanged, ...] = ()


def open_inputs(spec: JobSpec, settings: Settings) -> JobInputs:
    """Load a job's model and read its files; equal inputs have equal plans.

    Raises:
        AnimatorError: those of `load_animating` and `hashed`.
    """
    model = load_animating(spec.weights, spec.device, spec.precision, settings)
    hashes, files = hashed(spec.inputs, settings)
    return JobInputs(model, hashes, files)
