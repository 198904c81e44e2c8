from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from gfla.errors import GflaError
from gfla.models.attention import LocalAttention
from gfla.ops import reference
from gfla.ops.local_attention import gather, project_source, project_target, sample_projection
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


@pytest.mark.parametrize("reach", [2.0, 20.0], ids=["near", "far outside"])
def test_gradcheck(reach):
    block, target, source, flow = inputs(3, torch.float64, reach, size=(4, 5))
    tensors = tuple(tensor.requires_grad_() for tensor in (target, source, flow))
    assert gradcheck(lambda t, s, f: block(t, block.prepare(s), f), tensors)


@pytest.mark.parametrize("kernel", [1, 3])
def test_gradcheck_of_the_gather(kernel):
    random = torch.Generator().manual_seed(kernel)
    shapes = ((2, 3, 5, 4), (2, 2, 3, 5), (2, kernel**2, 3, 5))
    source, flow, weights = (
        torch.randn(shape, generator=random, dtype=torch.float64) for shape in shapes
    )
    tensors = tuple(tensor.requires_grad_() for tensor in (source, 3 * flow, weights))
    assert gradcheck(gather, tensors)


@pytest.mark.parametrize("distance", [1e6, -1e6, 1e9])
@pytest.mark.parametrize("size", [(9, 7), (1, 1)])
def test_wildly_wrong_flows_stay_finite_both_ways(distance, size):
    block, target, source, _ = inputs(3, torch.float32, reach=0.0, size=size)
    flow = torch.full((2, 2, *size), distance, requires_grad=True)
    source.requires_grad_()
    attended = block(target, block.prepare(source), flow)
    assert torch.isfinite(attended).all()
    by_source, by_flow = torch.autograd.grad(attended.sum(), (source, flow))
    assert torch.isfinite(by_source).all()
    assert not by_flow.any()


def test_flows_that_end_on_the_border_stay_finite_both_ways():
    block, target, source, _ = inputs(5, torch.float64, reach=0.0)
    grid = torch.stack(torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="xy"))
    corner = torch.tensor([6.0, 8.0], dtype=torch.float64).view(1, 2, 1, 1)
    flow = (corner - grid).expand(2, 2, 9, 7).clone().requires_grad_()
    attended = block(target, block.prepare(source), flow)
    wanted = expected(block, target, source, flow)
    torch.testing.assert_close(attended, wanted, **TOLERANCE[torch.float64])
    assert torch.isfinite(torch.autograd.grad(attended.sum(), flow)[0]).all()


def values(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.zeros(shape) for shape in shapes]


@pytest.mark.parametrize(
    ("operation", "tensors", "message"),
    [
        (gather, values((0, 3, 4, 4), (0, 2, 4, 4), (0, 9, 4, 4)), "source is (0, 3, 4, 4)"),
        (gather, values((3, 4, 4), (1, 2, 4, 4), (1, 9, 4, 4)), "source is (3, 4, 4)"),
        (gather, values((1, 3, 4, 4), (1, 3, 4, 4), (1, 9, 4, 4)), "flow is (1, 3, 4, 4)"),
        (gather, values((2, 3, 4, 4), (1, 2, 4, 4), (1, 9, 4, 4)), "needs 2 2 h w"),
        (gather, values((1, 3, 4, 4), (1, 2, 4, 4), (1, 9, 4, 5)), "needs 1 K 4 4"),
        (gather, values((1, 3, 4, 4), (1, 2, 4, 4), (1, 8, 4, 4)), "needs an odd square"),
        (gather, values((1, 3, 4, 4), (1, 2, 4, 4), (1, 4, 4, 4)), "needs an odd square"),
        (project_source, values((0, 3, 4, 4), (6, 3, 3, 3)), "source is (0, 3, 4, 4)"),
        (project_source, values((1, 3, 4, 4), (6, 2, 3, 3)), "needs D 3 3 3"),
        (project_source, values((1, 3, 4, 4), (6, 3, 2, 2)), "needs an odd one"),
        (project_target, values((1, 3, 0, 4), (6, 3, 3, 3), (6,)), "target is (1, 3, 0, 4)"),
    ],
)
def test_wrong_shapes_are_refused(operation, tensors, message):
    with pytest.raises(GflaError) as caught:
        operation(*tensors)
    assert caught.value.code == "invalid_shape"
    assert message in caught.value.message


def test_a_flow_of_another_batch_is_refused():
    with pytest.raises(GflaError, match="flow is"):
        sample_projection(torch.zeros(2, 3, 6, 6), torch.zeros(1, 3, 4, 4), radius=1)
    block, target, source, flow = inputs(3, torch.float32, reach=1.0)
    with pytest.raises(GflaError, match="flow is"):
        block(target, block.prepare(source), flow[:0])


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
