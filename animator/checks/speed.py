"""Times of loading a job's networks and of some frames, taken in a child process of a check."""

from __future__ import annotations

import resource
import time

import numpy as np

from animator.animation.kinds import subject_of_kind
from animator.animation.rollout.loading import load_animating
from animator.errors import AnimatorError
from animator.sandbox import Message, Send
from animator.settings import Settings
from animator.spec import JobSpec

_SECONDS = 1.5
_FRAMES = 20


def measure(task: Message, send: Send) -> None:
    """Send the seconds to start and to render a frame, the memory and the device.

    The task has "spec", "settings" as `Settings.to_environment` gives them, "face", the side of
    the source's face square in pixels, and "asked", the time at which it was asked for.
    The answer has "code" and "message" instead where the networks cannot be used.
    """
    spec = JobSpec.from_json(task["spec"])
    settings = Settings.from_environment(task["settings"])
    try:
        model = load_animating(spec.weights, spec.device, spec.precision, settings)
    except AnimatorError as error:
        send({"code": error.code, "message": error.message})
        return
    generator = model.generator
    # How long it takes does not depend on what the picture shows.
    picture, points = subject_of_kind(generator.subject).trial(spec, generator, task["face"])
    state = generator.start(picture, points)
    # The first step chooses algorithms and takes memory, so it counts as loading.
    state, _ = generator.step(state, points)
    loaded, ready = time.monotonic(), time.time()
    times: list[float] = []
    while len(times) < _FRAMES and time.monotonic() - loaded < _SECONDS:
        before = time.monotonic()
        state, _ = generator.step(state, points)
        times.append(time.monotonic() - before)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    send(
        {
            "load": ready - task["asked"],
            "step": float(np.mean(times)),
            "memory_mb": memory,
            "device": str(generator.device),
        }
    )
