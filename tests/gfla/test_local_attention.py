from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from gfla.models.attention import LocalAttention
from gfla.ops import reference
from gfla.ops.local_attention import gather
from tests.helpers import TOLERANCE


def inputs(kernel: int, dtype: torch.dtype, reach: float, size: tuple[int, int] = (9, 7)):
    torch.manual_seed(kernel)
    block = LocalAttention(5, kernel, hidden=6).to(dtype)
    target, source = (torch.randn(2, 5, *size, dtype=dtype) for _ in range(2))
    flow = reach * torch.randn(2, 2, *size, dtype=dtype)
    return block, target, source, flow


def expected(block, target, source, flow):
    mix, head = block.mix, block.head
    return reference.local_attention(
        target, source, flow, mix.weight, mix.bias, head.weight, head.bias
    )


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("reach", [0.0, 1.5, 30.0], ids=["still", "near", "far outside"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equals_the_unfolding_form(kernel, reach, dtype):
    block, target, source, flow = inputs(kernel, dtype, reach)
    attended = block(target, block.prepare(source), flow)
    torch.testing.assert_close(attended, expected(block, target, source, flow), **TOLERANCE[dtype])


@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_equal_those_of_the_unfolding_form(kernel):
    block, *tensors = inputs(kernel, torch.float64, reach=4.0)
    for tensor in tensors:
        tensor.requires_grad_()
    target, source, flow = tensors
    ours = block(target, block.prepare(source), flow)
    theirs = expected(block, target, source, flow)
    cotangent = torch.randn_like(ours)
    variables = (*tensors, *block.parameters())
    got = torch.autograd.grad(ours, variables, cotangent)
    wanted = torch.autograd.grad(theirs, variables, cotangent)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[torch.float64])


def test_gradcheck():
    block, target, source, flow = inputs(3, torch.float64, reach=2.0, size=(4, 5))
    tensors = tuple(tensor.requires_grad_() for tensor in (target, source, flow))
    assert gradcheck(lambda t, s, f: block(t, block.prepare(s), f), tensors)


def test_wildly_wrong_flows_stay_finite():
    block, target, source, _ = inputs(3, torch.float32, reach=0.0)
    flow = torch.full((2, 2, 9, 7), 1e9)
    assert torch.isfinite(block(target, block.prepare(source), flow)).all()


def test_weights_sum_to_one_and_the_sum_is_divided_by_the_kernel_area():
    block, target, source, flow = inputs(5, torch.float32, reach=1.0)
    prepared = block.prepare(source)
    weights = block.weights(target, prepared, flow)
    torch.testing.assert_close(weights.sum(1), torch.ones(2, 9, 7))
    constant = block.prepare(torch.ones_like(source))
    torch.testing.assert_close(
        block(target, constant, flow), torch.full_like(target, 1 / 25), atol=1e-6, rtol=0
    )


def test_gather_keeps_pictures_of_a_batch_apart():
    source = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    flow, weights = 9 * torch.randn(2, 2, 4, 4), torch.full((2, 9, 4, 4), 1 / 9)
    torch.testing.assert_close(gather(source, flow, weights), source, atol=1e-6, rtol=0)
