"""Implementations of the local gather: their names, and which of them can run here.

A backend is chosen by name. "auto" may choose; a name that cannot run is refused, never replaced.
"""

from __future__ import annotations

import importlib.util
import os
from typing import NamedTuple

import torch

from gfla.errors import GflaError, check_choice

BACKENDS = ("auto", "torch", "triton")
LEAST_CAPABILITY = (8, 0)
"""The oldest CUDA compute capability that Triton supports."""


class Backend(NamedTuple):
    """A backend and whether it can run on this machine.

    Attributes:
        name: "torch" or "triton".
        usable: whether it can run.
        reason: why, or why not, for a person.
    """

    name: str
    usable: bool
    reason: str


def available_backends() -> list[Backend]:
    """Every backend, usable or not; nothing is imported or compiled for it."""
    usable, reason = _triton()
    return [
        Backend("torch", True, "PyTorch's own operations, on every device"),
        Backend("triton", usable, reason),
    ]


def check_backend(name: str) -> None:
    """See that a name is one of ``BACKENDS``.

    Raises:
        GflaError: ``invalid_config`` if it is not.
    """
    check_choice("the attention backend", name, BACKENDS)


def resolve_backend(name: str, device_type: str) -> str:
    """The backend that a name means for tensors on a device.

    Args:
        name: "torch"; "triton"; or "auto": triton for CUDA tensors where it is usable, else torch.
        device_type: such as "cpu" or "cuda".

    Returns:
        "torch" or "triton".

    Raises:
        GflaError: ``invalid_config`` for another name; ``backend_unavailable`` if "triton" cannot
            run there.
    """
    check_backend(name)
    if name == "torch":
        return name
    usable, reason = _triton()
    # The machine may have a GPU while these very tensors lie on the CPU.
    if usable and device_type != "cuda" and not _interpreting():
        usable, reason = False, f"it runs on CUDA tensors, these are on {device_type!r}"
    if name == "auto":
        return "triton" if usable and device_type == "cuda" else "torch"
    if not usable:
        raise GflaError("backend_unavailable", f"the triton backend cannot run: {reason}")
    return name


# It depends on the machine and on its arguments alone, so a compiler need not look inside. This is
# all that `torch.compiler.assume_constant_result` does, but that one takes a second to import the
# compiler, which most never use.
resolve_backend._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _triton() -> tuple[bool, str]:
    if importlib.util.find_spec("triton") is None:
        return False, "the package triton is not installed"
    if _interpreting():
        return True, "in Triton's interpreter (TRITON_INTERPRET), which is slow and for tests"
    if not torch.cuda.is_available():
        return False, "there is no usable CUDA device"
    # Of the current device, which stands for all.
    capability = torch.cuda.get_device_capability()
    if capability < LEAST_CAPABILITY:
        needed, found = (".".join(map(str, c)) for c in (LEAST_CAPABILITY, capability))
        return False, f"it needs compute capability {needed}, the device has {found}"
    return True, f"one fused kernel, on {torch.cuda.get_device_name()}"


def _interpreting() -> bool:
    # Triton's own switch, which it obeys whatever is passed here; it has no argument for it.
    return os.environ.get("TRITON_INTERPRET", "0") not in ("", "0")
