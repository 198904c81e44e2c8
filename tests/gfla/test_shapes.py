from __future__ import annotations

import pytest
import torch

from gfla.errors import GflaError
from gfla.shapes import check_sides, shape_of


def test_sizes_of_a_fitting_tensor():
    assert shape_of("flow", torch.zeros(3, 2, 4, 5), "B 2 H W", B=3) == (3, 2, 4, 5)


@pytest.mark.parametrize(
    "wrong", [(2, 4, 5), (3, 3, 4, 5), (2, 2, 4, 5), (0, 2, 4, 5), (3, 2, 0, 5)]
)
def test_other_shapes_are_refused_with_what_came_and_what_is_allowed(wrong):
    with pytest.raises(GflaError, match="flow is") as caught:
        shape_of("flow", torch.zeros(wrong), "B 2 H W", B=3)
    assert caught.value.code == "invalid_shape"
    assert "needs 3 2 H W" in str(caught.value)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (64, 32)])
def test_sides_that_can_be_halved(height, width):
    check_sides("image", height, width, 32)


@pytest.mark.parametrize(("height", "width"), [(64, 65), (48, 64), (32, 32)])
def test_other_sides_are_refused(height, width):
    with pytest.raises(GflaError, match="multiples of 32"):
        check_sides("image", height, width, 32)
