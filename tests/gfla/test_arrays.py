from __future__ import annotations

import numpy as np
import torch

from gfla.arrays import pixel_centres, to_pixels


def test_a_whole_pixel_is_a_centre_and_edges_lie_half_a_pixel_outside():
    units = np.array([[0.0, 1.0], [0.5 / 8, 7.5 / 8]], np.float32)
    pixels = to_pixels(units, 8)
    assert pixels.dtype == np.float32
    assert pixels.tolist() == [[-0.5, 7.5], [0, 7]]
    assert np.allclose(to_pixels(pixel_centres(5), 5), np.arange(5))


def test_tensors_may_have_a_size_a_side():
    units = torch.tensor([[0.25, 0.5]])
    assert to_pixels(units, torch.tensor([8, 4])).tolist() == [[1.5, 1.5]]
