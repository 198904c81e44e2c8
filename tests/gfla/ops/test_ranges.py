from __future__ import annotations

import pytest
import torch

from gfla.ops.ranges import from_bytes, smooth_step, to_bytes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_byte_comes_back(dtype):
    pixels = torch.arange(256, dtype=torch.uint8)
    images = from_bytes(pixels)
    assert (images.dtype, float(images.min()), float(images.max())) == (torch.float32, -1, 1)
    assert torch.equal(to_bytes(images.to(dtype)), pixels)


def test_what_lies_outside_the_range_is_clipped():
    assert to_bytes(torch.tensor([-3.0, -1.0, 0.0, 1.0, 9.0])).tolist() == [0, 0, 128, 255, 255]


def test_a_smooth_step_is_level_at_both_ends():
    share = torch.linspace(0, 1, 11, dtype=torch.float64, requires_grad=True)
    step = smooth_step(share)
    torch.testing.assert_close(step, 1 - step.flip(0))
    step.sum().backward()
    assert share.grad[[0, -1]].tolist() == [0, 0] and (share.grad[1:-1] > 0).all()
    assert torch.autograd.gradcheck(smooth_step, share)
