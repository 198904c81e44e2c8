from __future__ import annotations

import pytest
import torch

from gfla.errors import GflaError
from gfla.losses.regularity import AffineRegularity, affine_residual, roughness
from gfla.ops.warp import pixel_grid


def fitted_residual(flow, kernel):
    """Slow and obvious: fit every neighbourhood by least squares, one by one."""
    batch, _, height, width = flow.shape
    warped = flow + pixel_grid(height, width, flow)
    ys, xs = torch.meshgrid(torch.arange(kernel), torch.arange(kernel), indexing="ij")
    grid = torch.stack([xs.flatten(), ys.flatten(), torch.ones(kernel**2)], 1).to(flow)
    residuals = []
    for b in range(batch):
        for y in range(height - kernel + 1):
            for x in range(width - kernel + 1):
                values = warped[b, :, y : y + kernel, x : x + kernel].flatten(1).T
                fit = grid @ torch.linalg.lstsq(grid, values).solution
                residuals.append((values - fit).square().sum())
    return torch.stack(residuals).mean()


def affine_flow(height, width):
    x, y = pixel_grid(height, width, torch.zeros(1)).unbind(1)
    return torch.stack([2 * x - y + 1, 0.5 * y + 0.1 * x - 7], 1)


@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("size", [(7, 11), (5, 5)])
def test_equals_a_fit_of_every_neighbourhood(kernel, size):
    flow = torch.randn(2, 2, *size, dtype=torch.float64)
    expected = fitted_residual(flow, kernel)
    torch.testing.assert_close(affine_residual(flow, kernel), expected)
    torch.testing.assert_close(
        affine_residual(flow.float(), kernel), expected.float(), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_affine_motion_costs_nothing(kernel):
    flow = affine_flow(9, 8)
    assert affine_residual(flow, kernel) < 1e-8
    assert roughness(flow) < 1e-6
    rough = flow + torch.randn_like(flow)
    assert kernel == 1 or affine_residual(rough, kernel) > 1
    assert roughness(rough) > 1


def test_gradients_in_float64():
    flow = torch.randn(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: affine_residual(f, 3), flow)
    assert torch.autograd.gradcheck(lambda f: affine_residual(f, 5), flow)


def test_training_may_follow_inference():
    with torch.inference_mode():
        affine_residual(torch.zeros(1, 2, 4, 4, dtype=torch.float64), 4)
    flow = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    affine_residual(flow, 4).backward()
    assert flow.grad.abs().sum() > 0


def test_flows_far_outside_stay_finite():
    flow = (1e6 * torch.randn(1, 2, 8, 9)).requires_grad_()
    loss = affine_residual(flow, 3)
    loss.backward()
    assert loss.isfinite()
    assert flow.grad.isfinite().all()


def test_half_precision_flows_are_squared_in_float32():
    flow = torch.randn(1, 2, 8, 9).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = affine_residual(flow, 3)
    assert loss.dtype == torch.float32
    assert loss == affine_residual(flow.float(), 3)


def test_what_does_not_fit_is_refused():
    for shape in ((0, 2, 8, 8), (1, 3, 8, 8), (1, 2, 8, 4), (2, 8, 8)):
        with pytest.raises(GflaError) as caught:
            affine_residual(torch.zeros(shape), 5)
        assert caught.value.code == "invalid_shape"
    with pytest.raises(GflaError) as caught:
        affine_residual(torch.zeros(1, 2, 8, 8), 0)
    assert caught.value.code == "invalid_config"


def test_the_flows_of_a_prediction_add_up():
    regularity = AffineRegularity({3: 3, 2: 5})
    flows = {
        (3, "reference"): torch.randn(1, 2, 6, 6),
        (3, "previous"): torch.randn(1, 2, 6, 6),
        (2, "reference"): torch.randn(1, 2, 12, 12),
    }
    expected = sum(affine_residual(f, 3 if layer == 3 else 5) for (layer, _), f in flows.items())
    torch.testing.assert_close(regularity(flows), expected)
    for wrong in ({(1, "reference"): flows[2, "reference"]}, {}):
        with pytest.raises(GflaError) as caught:
            regularity(wrong)
        assert caught.value.code == "unknown_layer"
