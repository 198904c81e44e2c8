"""Landmarks that a child process finds while this one imports PyTorch and loads the model.

The child leaves them where every job looks for landmarks first. One that cannot start, fails or is
killed costs time alone: the job then finds them itself.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from animator.errors import AnimatorError
from animator.processor import cores
from animator.record import Progress
from animator.sandbox import Message, SandboxLimits, end, spawn
from animator.settings import Settings, has_nvidia_driver
from animator.spec import JobSpec
from animator.watch import Watch
from animator.weights.library import describe_file, resolve_spec
from animator.weights.subjects import fitting, kind_of

if TYPE_CHECKING:  # they import PyTorch
    from animator.animation.inputs import JobInputs
    from animator.animation.plan import JobPlan

    Planner = Callable[[JobSpec, JobInputs, Settings, Watch], JobPlan]

_TARGET = "animator.animation.faces.child:find"
_LIMITS = SandboxLimits(seconds=7 * 86_400.0, memory_mb=None)  # those of a job: none
_POLL_SECONDS = 0.1
"""Seconds between two looks of one who waits at whether the job is to stop."""


@contextmanager
def finding(spec: JobSpec, settings: Settings) -> Iterator[Finder | None]:
    """Find the landmarks of a job in a child process, for as long as the block runs.

    Args:
        spec: the job, with files of this machine.
        settings: those of the job.

    Yields:
        The child; None where it would be of no use: on a machine with one core, for what is no
        face, and for detectors that need PyTorch themselves.
    """
    process = _started(spec, settings)
    if process is None:
        yield None
        return
    try:
        yield Finder(process)
    finally:
        end(process)


class Finder:
    """The child that finds the landmarks of a job."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def before(self, make_plan: Planner) -> Planner:
        """What waits for the child, and then makes the plan of the job."""

        def plan_after(
            spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch
        ) -> JobPlan:
            found = self._wait(watch)
            plan = make_plan(spec, inputs, settings, watch)
            # What the child has found for this job had not been there before.
            return replace(plan, cached=tuple(name for name in plan.cached if name not in found))

        return plan_after

    def _wait(self, watch: Watch) -> frozenset[str]:
        """Wait for the end of the child, which is shown as stages of the job are.

        Returns:
            The names of the files in which it was first to find faces.

        Raises:
            AnimatorError: what it has found to be wrong with them.
            JobCancelled: if the job is to stop.
        """
        shown: Progress | None = None
        found: frozenset[str] = frozenset()
        with ExitStack() as stage:
            for message in self._messages(watch.check):
                if "error" in message:
                    code, sentence = message["error"]
                    raise AnimatorError(code, sentence)
                if "found" in message:
                    found = frozenset(message["found"])
                    continue
                told = Progress(**message["progress"])
                if shown is None or told.stage != shown.stage or told.frame < shown.frame:
                    stage.close()
                    stage.enter_context(watch.stage(told.stage, told.frames, told.frame))
                else:
                    watch.advance(told.frame - shown.frame)
                shown = told
        return found

    def _messages(self, check: Callable[[], None]) -> Iterator[Message]:
        """What the child says until its end."""
        assert self._process.stdout is not None
        pipe, unread = self._process.stdout.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                check()
                if not selector.select(_POLL_SECONDS):
                    continue
                block = os.read(pipe, 1 << 16)
                if not block:
                    return
                *lines, unread = (unread + block).split(b"\n")
                yield from map(json.loads, lines)


def _started(spec: JobSpec, settings: Settings) -> subprocess.Popen[bytes] | None:
    if cores() < 2 or not _by_dlib(spec):
        return None
    try:
        kind = kind_of(describe_file(resolve_spec(spec.weights, settings)).config)
        if kind != "face":
            return None
        # By name: to tell what "auto" means takes PyTorch.
        job = replace(fitting(spec, kind, settings), detector="dlib")
        task = {"spec": job.to_json(), "settings": settings.to_environment()}
        return spawn(_TARGET, task, _LIMITS, trusted=True, errors=subprocess.DEVNULL)
    except (AnimatorError, OSError):  # the job itself tells what is wrong
        return None


def _by_dlib(spec: JobSpec) -> bool:
    """Whether dlib finds the faces, as far as that is certain without PyTorch."""
    if spec.detector == "auto":  # another one may be chosen where there is a GPU
        return spec.device == "cpu" or not has_nvidia_driver()
    return spec.detector == "dlib"
