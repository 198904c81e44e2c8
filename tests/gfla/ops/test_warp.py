from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from gfla.errors import GflaError
from gfla.ops import reference
from gfla.ops.warp import downscale_flow, pixel_grid, sample, upscale_flow, warp
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


@pytest.mark.parametrize("reach", [1.0, 20.0], ids=["near", "far outside"])
def test_gradcheck(reach):
    torch.manual_seed(0)
    image = torch.randn(2, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = (reach * torch.randn(2, 2, 3, 5, dtype=torch.float64)).requires_grad_()
    assert gradcheck(warp, (image, flow))


@pytest.mark.parametrize("change", [upscale_flow, downscale_flow])
def test_gradcheck_of_changes_of_scale(change):
    flow = torch.randn(1, 2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda values: change(values, 2), (flow,))


@pytest.mark.parametrize("distance", [1e6, -1e6, 1e9])
@pytest.mark.parametrize("size", [(5, 7), (1, 1)])
def test_wildly_wrong_flows_stay_finite_both_ways(distance, size):
    image = torch.randn(1, 3, *size, requires_grad=True)
    flow = torch.full((1, 2, *size), distance, requires_grad=True)
    warped = warp(image, flow)
    corner = image[..., -1:, -1:] if distance > 0 else image[..., :1, :1]
    torch.testing.assert_close(warped, corner.expand_as(warped))
    for gradient in torch.autograd.grad(warped.sum(), (image, flow)):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(
    ("image", "flow", "message"),
    [
        ((0, 3, 4, 4), (0, 2, 4, 4), "flow is (0, 2, 4, 4)"),
        ((1, 3, 4), (1, 2, 4, 4), "image is (1, 3, 4)"),
        ((1, 3, 4, 4), (1, 3, 4, 4), "flow is (1, 3, 4, 4)"),
        ((2, 3, 4, 4), (3, 2, 4, 4), "needs 2 2 h w"),
    ],
)
def test_wrong_shapes_are_refused(image, flow, message):
    with pytest.raises(GflaError) as caught:
        warp(torch.zeros(image), torch.zeros(flow))
    assert caught.value.code == "invalid_shape"
    assert message in caught.value.message


def test_no_flow_of_a_wrong_shape_changes_its_scale():
    for operation in (upscale_flow, downscale_flow):
        with pytest.raises(GflaError, match="flow is"):
            operation(torch.zeros(1, 3, 4, 4), 2)
    with pytest.raises(GflaError, match="positions is"):
        sample(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, 2))


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
