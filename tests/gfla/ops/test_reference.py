"""The obvious forms by values that can be worked out by hand; the fast ones are held to them."""

from __future__ import annotations

import pytest
import torch

from gfla.ops.reference import bilinear_clamped, local_attention, unfold_source


def test_a_sample_is_the_pixel_or_the_mean_of_its_neighbours():
    source = torch.arange(6.0).view(1, 1, 2, 3)
    x, y = torch.tensor([[1.0, 0.5, 1.5, -9.0, 9.0]]), torch.tensor([[1.0, 0.0, 0.5, -9.0, 9.0]])
    assert bilinear_clamped(source, x, y).tolist() == [[[4, 0.5, 3, 0, 5]]]


def test_without_a_flow_a_block_is_the_pixel_and_its_neighbours():
    source = torch.arange(12.0).view(1, 1, 3, 4)
    blocks = unfold_source(source, torch.zeros(1, 2, 3, 4), 3)
    assert blocks.shape == (1, 1, 9, 12)
    assert torch.equal(blocks[0, 0, 3:6, 3:6], source[0, 0, :3, :3])
    assert torch.equal(blocks[0, 0, :3, :3], torch.tensor([[0.0, 0, 1], [0, 0, 1], [4, 4, 5]]))


@pytest.mark.parametrize("kernel", [1, 3])
def test_equal_weights_give_the_mean_of_the_neighbourhood_divided_once_more(kernel):
    torch.manual_seed(0)
    target, source = torch.randn(2, 1, 2, 5, 6, dtype=torch.float64)
    flow, area = torch.zeros(1, 2, 5, 6, dtype=torch.float64), kernel**2
    first = torch.randn(4, 4, kernel, kernel, dtype=torch.float64)
    head = torch.zeros(area, 4, 1, 1, dtype=torch.float64)
    result = local_attention(
        target, source, flow, first, first.new_zeros(4), head, head.new_zeros(area)
    )
    padded = torch.nn.functional.pad(source, [kernel // 2] * 4, mode="replicate")
    mean = torch.nn.functional.avg_pool2d(padded, kernel, stride=1)
    torch.testing.assert_close(result, mean / area)
