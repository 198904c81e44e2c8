"""The Triton kernel against the obvious form: run by ``test_triton_gather.py``.

They run in a process of their own, in Triton's interpreter on the CPU if TRITON_INTERPRET is set,
else compiled on a CUDA device: Triton settles that once, when it is imported.
"""

from __future__ import annotations

import os

import pytest
import torch

from gfla.models.attention import LocalAttention, set_attention_backend
from gfla.ops import reference
from gfla.ops.local_attention import gather
from tests.helpers import TOLERANCE

DEVICE = "cpu" if os.environ.get("TRITON_INTERPRET") == "1" else "cuda"


def obvious(source, flow, weights):
    """Unfold, weigh, add up."""
    kernel = round(weights.shape[1] ** 0.5)
    blocks = reference.unfold_source(source, flow, kernel)
    spread = torch.nn.functional.pixel_shuffle(weights, kernel)
    return torch.nn.functional.avg_pool2d(spread * blocks, kernel, divisor_override=1)


def inputs(kernel: int, dtype: torch.dtype, reach: float = 4.0, channels: int = 5):
    """A source of another size than the result, both odd; the flow leads outside, too."""
    random = torch.Generator().manual_seed(kernel)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    source = torch.randn(2, channels, 7, 9, generator=random, dtype=torch.float64)
    flow = reach * torch.randn(2, 2, 3, 5, generator=random, dtype=torch.float64)
    weights = torch.rand(2, kernel**2, 3, 5, generator=random, dtype=torch.float64) / kernel**2
    tensors = (source.to(dtype), flow.to(wide), weights.to(dtype))
    return tuple(tensor.to(DEVICE).requires_grad_() for tensor in tensors)


CASES = [(k, torch.float64) for k in (1, 3, 5, 7)]
CASES += [(3, torch.float32), (5, torch.float32), (3, torch.bfloat16)]


@pytest.mark.parametrize(("kernel", "dtype"), CASES)
def test_equals_the_obvious_form_both_ways(kernel, dtype):
    tensors = inputs(kernel, dtype)
    result = gather(*tensors, backend="triton")
    assert result.dtype == dtype
    cotangent = torch.linspace(-1, 1, result.numel(), device=DEVICE).view(result.shape)
    got = torch.autograd.grad(result, tensors, cotangent.to(dtype))

    exact = [tensor.detach().double().requires_grad_() for tensor in tensors]
    wanted = obvious(*exact)
    gradients = torch.autograd.grad(wanted, exact, cotangent.double())
    torch.testing.assert_close(result.double(), wanted, **TOLERANCE[dtype])
    for gradient, exact_gradient, tensor in zip(got, gradients, tensors, strict=True):
        assert gradient.dtype == tensor.dtype
        torch.testing.assert_close(gradient.double(), exact_gradient, **TOLERANCE[dtype])


def test_more_channels_than_a_block_and_the_layouts_of_memory():
    source, flow, weights = inputs(1, torch.float32, channels=130)
    wanted = gather(source, flow, weights, "torch")
    got = gather(source, flow, weights, "triton")
    torch.testing.assert_close(got, wanted, **TOLERANCE[torch.float32])
    last = source.contiguous(memory_format=torch.channels_last)
    assert torch.equal(gather(last, flow, weights, "triton"), got)
    got.sum().backward()
    mine = source.grad
    (wanted_gradient,) = torch.autograd.grad(wanted.sum(), source)
    torch.testing.assert_close(mine, wanted_gradient, **TOLERANCE[torch.float32])


@pytest.mark.parametrize("distance", [1e6, -1e6, 3e9, float("inf")])
def test_far_flows_see_the_border_and_have_no_gradient(distance):
    source, flow, weights = inputs(3, torch.float32)
    far = torch.full_like(flow, distance).requires_grad_()
    result = gather(source, far, weights, "triton")
    column, row = (0, 0) if distance < 0 else (8, 6)
    corner = source[:, :, row, column, None, None] * weights.sum(1, keepdim=True)
    torch.testing.assert_close(result, corner, **TOLERANCE[torch.float32])
    (gradient,) = torch.autograd.grad(result.sum(), far)
    assert not gradient.any()


def test_the_block_runs_on_it_compiled_and_not():
    torch.manual_seed(0)
    block = LocalAttention(4, 3, hidden=4).to(DEVICE)
    target, source = torch.randn(2, 1, 4, 5, 6, device=DEVICE)
    flow = 2 * torch.randn(1, 2, 5, 6, device=DEVICE)
    with torch.no_grad():
        set_attention_backend(block, "torch")
        wanted = block(target, block.prepare(source), flow)
        set_attention_backend(block, "triton")
        got = block(target, block.prepare(source), flow)
        compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
        again = compiled(target, block.prepare(source), flow)
    torch.testing.assert_close(got, wanted, **TOLERANCE[torch.float32])
    torch.testing.assert_close(again, wanted, **TOLERANCE[torch.float32])
