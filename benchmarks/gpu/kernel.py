"""Local attention's gather: the Triton kernel against PyTorch's operations, both ways.

On a CPU PyTorch's operations are held against the obvious form that unfolds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from environment import interleaved
from torch import Tensor

from gfla.ops import reference
from gfla.ops.local_attention import gather
from gpu.parts import Setting
from gpu.sheet import Sheet

Gather = Callable[[Tensor, Tensor, Tensor], Tensor]
MOST_OFF = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""By how much results and gradients may differ, in units of their own strength."""


class Case(NamedTuple):
    """One block at one size."""

    kernel: int
    size: int
    channels: int
    batch: int


PUBLISHED = ((3, 32, 256), (5, 64, 128))
"""Kernel, size and channels of the published models' blocks at 256 px."""
LARGE = (Case(3, 64, 256, 1), Case(5, 128, 128, 1), Case(3, 16, 128, 8), Case(5, 32, 64, 8))
"""Of 512 px, and of the default model."""
SMALL = (Case(3, 6, 8, 1), Case(5, 8, 4, 2))
REPEATS = 20


def measure(setting: Setting, sheet: Sheet) -> None:
    """Every size, in float32 and bfloat16."""
    cases = [Case(*block, batch) for batch in (1, 8, 32) for block in PUBLISHED] + list(LARGE)
    for case in SMALL if setting.small else cases:
        for dtype in MOST_OFF:
            compare(setting, sheet, case, dtype)


def sides(setting: Setting) -> dict[str, Gather]:
    """What is compared; the first is right."""
    plain: Gather = lambda *tensors: gather(*tensors, backend="torch")  # noqa: E731
    if setting.cuda:
        return {"torch": plain, "triton": lambda *tensors: gather(*tensors, backend="triton")}
    return {"unfolding": unfolded, "torch": plain}


def unfolded(source: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
    """Unfold, weigh, add up."""
    kernel = round(weights.shape[1] ** 0.5)
    blocks = reference.unfold_source(source.float(), flow, kernel)
    spread = torch.nn.functional.pixel_shuffle(weights.float(), kernel)
    summed = torch.nn.functional.avg_pool2d(spread * blocks, kernel, divisor_override=1)
    return summed.to(source.dtype)


def compare(setting: Setting, sheet: Sheet, case: Case, dtype: torch.dtype) -> None:
    """Results and gradients of both sides, and their times."""
    tensors = drawn(case, dtype, setting.device)
    (first, right), (second, other) = sides(setting).items()
    forward, backward = {}, {}
    for name, work in ((first, right), (second, other)):
        forward[name] = work(*tensors)
        cotangent = torch.linspace(-1, 1, forward[name].numel(), device=setting.device)
        cotangent = cotangent.view(forward[name].shape).to(dtype)
        backward[name] = torch.autograd.grad(forward[name], tensors, cotangent)
    there, back = off(forward[second], forward[first]), 0.0
    for got, wanted in zip(backward[second], backward[first], strict=True):
        back = max(back, off(got, wanted))
    calls = [
        lambda work=work, both=both: run(work, tensors, both)
        for both in (False, True)
        for work in (right, other)
    ]
    times = [1000 * t["median"] for t in interleaved(calls, 2 if setting.small else REPEATS)]
    size = f"k {case.kernel}, {case.size}² x {case.channels}, batch {case.batch}"
    sheet.row(
        case=size, dtype=str(dtype).removeprefix("torch."), off=there, gradients_off=back,
        **{f"{first}_ms": times[0], f"{second}_ms": times[1]},
        **{f"{first}_both_ms": times[2], f"{second}_both_ms": times[3]},
    )  # fmt: skip
    if not max(there, back) <= MOST_OFF[dtype]:
        sheet.fault(f"{size}, {dtype}: off by {there:.1e}, its gradients by {back:.1e}")


def drawn(case: Case, dtype: torch.dtype, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Source, flow and weights; flows of some pixels, like those of a moving face."""
    random = torch.Generator().manual_seed(0)
    plane = (case.size, case.size)
    source = torch.randn(case.batch, case.channels, *plane, generator=random).to(dtype)
    flow = 3 * torch.randn(case.batch, 2, *plane, generator=random)
    weights = torch.randn(case.batch, case.kernel**2, *plane, generator=random)
    weights = weights.softmax(1).to(dtype)
    source, flow, weights = (t.to(device).requires_grad_() for t in (source, flow, weights))
    return source, flow, weights


def off(got: Tensor, wanted: Tensor) -> float:
    """The difference's norm in units of that of what is wanted."""
    got, wanted = got.detach().double(), wanted.detach().double()
    return float((got - wanted).norm() / wanted.norm().clamp_min(1e-12))


def run(work: Gather, tensors: tuple[Tensor, Tensor, Tensor], both: bool) -> object:
    """Forward, or forward and backward."""
    if both:
        result = work(*tensors)
        return torch.autograd.grad(result, tensors, torch.ones_like(result))
    with torch.inference_mode():
        return work(*tensors)
