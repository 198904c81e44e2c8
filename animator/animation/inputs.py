"""The inputs of a job as it begins: the loaded model, and the files with their hashes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from animator.animation.rollout.loading import Model, load_animating
from animator.files.unchanged import Stamp, Unchanged
from animator.media.decode import content_hash
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
        AnimatorError: those of `load_animating` and `content_hash`.
    """
    model = load_animating(spec.weights, spec.device, spec.precision, settings)
    limits = settings.limits()
    hashes, files = {}, []
    for name, path in spec.inputs.items():
        # The stamp first: what happens from then on shows.
        before = Stamp.of(path, limits)
        hashes[name] = content_hash(path, limits)
        # What the cache keeps is never written again, only touched when it was used.
        if not Path(path).is_relative_to(settings.cache_dir):
            files.append(Unchanged(path, before, hashes[name], limits))
    return JobInputs(model, hashes, tuple(files))
