"""What a figure was measured on, and how repeated timings are summed up."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch


def describe() -> dict[str, object]:
    """Machine, load and versions."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if "model name" in line]
        processor = names[0].split(":")[1].strip() if names else processor
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": processor,
        "cores": os.cpu_count(),
        "load before": round(os.getloadavg()[0], 2),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes, CUDA's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def interleaved(sides: Sequence[Callable[[], object]], repeats: int) -> list[dict[str, float]]:
    """Medians and spreads of several things, measured in turns so that noise hits all alike."""
    for side in sides:
        side()
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for side, samples in zip(sides, times, strict=True):
            samples.append(seconds(side))
    return [{"median": statistics.median(t), "least": min(t), "most": max(t)} for t in times]
