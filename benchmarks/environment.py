"""What a figure was measured on, and how repeated timings are summed up."""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import statistics
import sys
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


def peak_bytes(work: Callable[[], object], device: str = "cpu") -> int:
    """The most memory that one call needs beyond what is held before it.

    On CUDA the allocator's peak. On the CPU the process's resident set as the kernel sees it, so
    the libraries' own scratch memory counts, too: its high-water mark is reset before the call
    (Linux). Call it in a process that has done nothing but a small warm-up: freed memory that the
    C library has kept would be used again unseen.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        result = work()  # what it returns is a part of what it needs
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated() - before
    else:
        if not sys.platform.startswith("linux"):
            raise SystemExit("peak memory on the CPU is measured on Linux alone")
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = _resident("VmRSS")
        result = work()
        peak = _resident("VmHWM") - before
    del result
    return peak


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    (value,) = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return 1024 * int(value)


def interleaved(sides: Sequence[Callable[[], object]], repeats: int) -> list[dict[str, float]]:
    """Medians and spreads of several things, measured in turns so that noise hits all alike."""
    for side in sides:
        side()
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats):
        for side, samples in zip(sides, times, strict=True):
            samples.append(seconds(side))
    return [{"median": statistics.median(t), "least": min(t), "most": max(t)} for t in times]
