from __future__ import annotations

import torch
from torch.autograd import gradcheck

from gfla.ops import reference
from gfla.ops.warp import downscale_flow, pixel_grid, upscale_flow, warp
from tests.helpers import TOLERANCE


def test_a_flow_points_from_the_target_to_the_source():
    image = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 0] = 1
    torch.testing.assert_close(warp(image, flow)[..., :-1], image[..., 1:])


def test_borders_are_continued_as_by_clamped_neighbours():
    torch.manual_seed(0)
    image = torch.randn(2, 3, 5, 6, dtype=torch.float64)
    flow = 8 * torch.randn(2, 2, 5, 6, dtype=torch.float64)
    x, y = (flow + pixel_grid(5, 6, flow)).flatten(2).unbind(1)
    wanted = reference.bilinear_clamped(image, x, y).view_as(image)
    torch.testing.assert_close(warp(image, flow), wanted, **TOLERANCE[torch.float64])


def test_gradcheck():
    image = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert gradcheck(warp, (image, flow))


def test_half_precision_pictures_are_placed_in_single_precision():
    image = torch.linspace(-1, 1, 512).view(1, 1, 1, 512).expand(1, 1, 4, 512)
    flow = torch.full((1, 2, 4, 512), 0.25)
    got = warp(image.bfloat16(), flow)
    torch.testing.assert_close(got.float(), warp(image, flow), atol=8e-3, rtol=0)


def test_flows_change_scale_with_their_maps():
    flow = torch.full((1, 2, 8, 8), 3.0)
    torch.testing.assert_close(upscale_flow(flow, 4), torch.full((1, 2, 32, 32), 12.0))
    torch.testing.assert_close(downscale_flow(flow, 4), torch.full((1, 2, 2, 2), 0.75))
    assert upscale_flow(flow, 1) is flow
