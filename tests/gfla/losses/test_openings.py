from __future__ import annotations

import pytest
import torch

from gfla.losses.openings import rim, spread


def test_a_change_of_tone_at_the_rim_alone_counts() -> None:
    gate = torch.zeros(1, 1, 16, 16)
    gate[..., 4:12, 4:12] = 0.5
    gate[..., 6:10, 6:10] = 1
    change = torch.full((1, 3, 16, 16), 0.3)
    assert rim(change, gate) == pytest.approx(0.3, abs=1e-5)
    assert rim(change, torch.ones_like(gate)) == 0
    checks = torch.arange(16)[:, None] + torch.arange(16)
    fine = (2 * (checks % 2) - 1).expand(1, 3, 16, 16).float()
    assert rim(fine, gate) < 0.05  # texture is no tone


def test_spread_is_of_brightness_within_openings() -> None:
    opening = torch.zeros(4, 1, 8, 8)
    opening[..., 2:6, 2:6] = 1
    wanted = torch.tensor([-0.4, 0.4, -0.4, 0.4]).view(4, 1, 1, 1) * torch.ones(4, 3, 8, 8)
    assert spread(wanted, wanted, opening) == 0
    assert spread(wanted / 2, wanted, opening) == pytest.approx(0.04, rel=0.01)
    still = torch.zeros(4, 3, 8, 8, requires_grad=True)
    spread(still, wanted, opening).backward()
    assert torch.isfinite(still.grad).all()
