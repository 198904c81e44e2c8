from __future__ import annotations

import pytest
import torch
from torch import nn

from gfla.models.blocks import InstanceNorm
from tests.helpers import TOLERANCE


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_instance_norm_is_the_same_for_one_picture_and_many(batch, layout, dtype):
    torch.manual_seed(0)
    ours, theirs = InstanceNorm(4).to(dtype), nn.InstanceNorm2d(4, affine=True).to(dtype)
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    theirs.load_state_dict(ours.state_dict())
    features = 2 + torch.randn(batch, 4, 5, 6, dtype=dtype)
    features = features.contiguous(memory_format=layout).requires_grad_()
    got, wanted = ours(features), theirs(features)
    torch.testing.assert_close(got, wanted, **TOLERANCE[dtype])
    assert got.is_contiguous(memory_format=layout) or batch > 1
    variables = [(features, *norm.parameters()) for norm in (ours, theirs)]
    cotangent = torch.randn_like(wanted)
    gradients = torch.autograd.grad(got, variables[0], cotangent)
    exact = torch.autograd.grad(wanted, variables[1], cotangent)
    for a, b in zip(gradients, exact, strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE[dtype])
