"""The parts of the check: their names, what they find out, and how long each may take."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpu.sheet import Sheet


@dataclass(frozen=True)
class Part:
    """One part, which is ``measure`` of the module of its name.

    Attributes:
        name: of the part and of its module in this package.
        title: what it finds out.
        seconds: after which it is ended, whatever it does.
        exact: whether its float32 is not rounded (TF32) unless it says so; else it is as in use.
        kept: seconds that the parts before it leave to it, however long they take. All of them fit
            into the budget together, so that each part is begun whatever happens.
    """

    name: str
    title: str
    seconds: float
    exact: bool = False
    kept: float = 0.0


@dataclass(frozen=True)
class Setting:
    """Where and how large a part is to measure.

    Attributes:
        device: "cuda" or "cpu".
        seconds: that it has; what can be shorter goes by them.
        folder: of its own, for files.
        pack: what travelled along (`gpu.pack`), if anything did.
        small: whether sizes only show that everything runs.
    """

    device: str
    seconds: float
    folder: Path
    pack: Path | None = None
    small: bool = False

    @property
    def cuda(self) -> bool:
        """Whether it is on a GPU."""
        return self.device == "cuda"


Measure = Callable[[Setting, Sheet], None]

PARTS = (
    Part("machine", "The machine, its versions, and what is missing", 40),
    Part("suite", "The tests that need a GPU", 75, kept=20),
    Part("parity", "Every generator against the CPU's float32", 60, exact=True, kept=20),
    Part(
        "kernel", "The fused local attention against PyTorch's operations", 45, exact=True, kept=15
    ),
    Part("graphs", "CUDA graphs against none", 40, exact=True, kept=15),
    Part("memory", "Batches that do not fit into memory", 30, kept=15),
    Part("engine", "The engine fed with ready guidance", 50, kept=25),
    Part("jobs", "`animator run`, and a worker with 8 jobs", 75, kept=40),
    Part("training", "A step of training, and where its time goes", 60, kept=25),
    Part("step", "A step of the face models in every arithmetic", 80, exact=True, kept=40),
    Part("learning", "Training from a checkpoint", 120, kept=120),
)
"""In the order in which they run: what tells most about right and wrong first, what can use any
time last."""


def part_named(name: str) -> Part:
    """The part of a name.

    Raises:
        KeyError: if there is none.
    """
    return {part.name: part for part in PARTS}[name]


def measure_of(part: Part) -> Measure:
    """What a part does; its module is imported only now, since it may lack a package."""
    measure: Measure = importlib.import_module(f"gpu.{part.name}").measure
    return measure


def exact_arithmetic() -> None:
    """Let float32 mean it: convolutions on CUDA would round to ten bits otherwise."""
    import torch  # not for a list of parts, which is there where it is missing

    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
