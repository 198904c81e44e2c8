"""The broker's queues: one for each kind of worker and each priority, and who takes from which."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, get_args

from kombu.utils.scheduling import priority_cycle

from animator.options import Kind, Priority
from animator.settings import Settings

PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""The most urgent first."""
GPUS = Path("/proc/driver/nvidia/gpus")
"""Where NVIDIA's driver lists its devices, one folder each."""


def queue_name(kind: Kind, priority: Priority, *, begun: bool = False) -> str:
    """The queue of such jobs; those that were begun before have one of their own."""
    return f"animator.{kind}.{priority}" + (".begun" if begun else "")


def queues_of(kind: Kind) -> tuple[str, ...]:
    """The queues that a worker takes jobs from, the most urgent first.

    Of the same urgency, jobs that were begun before come first, so that one whose worker died does
    not wait behind a thousand others; then those that only its own kind can run.
    """
    # Own kind first: nobody else takes those.
    kinds: tuple[Kind, ...] = ("any",) if kind == "any" else (kind, "any")
    return tuple(
        queue_name(each, priority, begun=begun)
        for priority in PRIORITIES
        for begun in (True, False)
        for each in kinds
    )


class ByPriority(priority_cycle):
    """The order in which kombu looks into the queues: always the most urgent first."""

    def update(self, it: Iterable[str]) -> None:
        """Take the names of the queues, in whatever order they come."""
        # In place, as kombu goes on with this very list.
        self.items[:] = sorted(it, key=_rank)


def _rank(queue: str) -> tuple[int, bool, bool]:
    begun = queue.endswith(".begun")
    _, _, priority = queue.removesuffix(".begun").rpartition(".")
    place = PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES)
    return place, not begun, ".any." in queue


def own_kind(settings: Settings) -> Literal["cpu", "cuda"]:
    """Whether jobs of this process run on a GPU; found without torch, which takes seconds."""
    if settings.device != "auto":
        return "cpu" if settings.device == "cpu" else "cuda"
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "cpu"
    return "cuda" if gpu_names() and not _torch_for_cpu_only() else "cpu"


def gpu_names() -> list[str]:
    """What the GPUs of this machine call themselves; empty where there is none."""
    try:
        folders = sorted(GPUS.iterdir())
    except OSError:
        return []
    return [_model(folder / "information") for folder in folders]


def _model(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "NVIDIA GPU"
    # `Model:   NVIDIA H100`.
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    return models[0] if models else "NVIDIA GPU"


def _torch_for_cpu_only() -> bool:
    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return True
