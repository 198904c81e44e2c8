"""Checks that a file's tensors are exactly those that a network asks for."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gfla.errors import GflaError

_SHOWN = 8
"""How many names a message lists."""


def check_tensors(shapes: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that do not fit a network.

    Args:
        shapes: what the network asks for, by name.
        tensors: what the file holds.

    Raises:
        GflaError: ``bad_checkpoint`` naming what is missing, left over, misshapen or not finite.
    """
    # Names first: a message about shapes would hide that the file is of another network.
    check_names(set(shapes), set(tensors))
    for name, tensor in tensors.items():
        if tensor.shape != shapes[name]:
            got, wanted = tuple(tensor.shape), tuple(shapes[name])
            raise GflaError("bad_checkpoint", f"{name} has shape {got}; needs {wanted}")
        if not torch.isfinite(tensor).all():
            raise GflaError("bad_checkpoint", f"{name} holds values that are not finite")


def check_names(expected: set[str], found: set[str]) -> None:
    """Refuse a file whose tensors have other names.

    Raises:
        GflaError: ``bad_checkpoint`` naming what is missing and what is left over.
    """
    complaints = []
    for title, names in (("missing", expected - found), ("left over", found - expected)):
        if names:
            shown = ", ".join(sorted(names)[:_SHOWN])
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            complaints.append(f"{title}: {shown}{more}")
    if complaints:
        raise GflaError("bad_checkpoint", "; ".join(complaints))
