from __future__ import annotations

import pytest
import torch

from gfla.data.transforms import FLIPPED
from gfla.ops.regions import (
    LEFT_EYE,
    MOUTH,
    REGIONS,
    RIGHT_EYE,
    Alignment,
    align,
    crop,
    face_size,
    geometry,
    grid_of,
    novelty,
    paste,
)
from tests.golden.faces import MEAN_FACE


def face(batch: int = 1) -> torch.Tensor:
    return torch.tensor(MEAN_FACE, dtype=torch.float32).expand(batch, 68, 2).clone()


def turned(points: torch.Tensor, angle: float, zoom: float, shift: float) -> torch.Tensor:
    angle = torch.tensor(angle)
    matrix = zoom * torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    return (points - 0.5) @ matrix.T + 0.5 + shift


def opened(points: torch.Tensor, gap: float) -> torch.Tensor:
    """With lips as far apart, in units of the picture."""
    points = points.clone()
    middle = points[:, [60, 64], 1].mean(1, keepdim=True)
    points[:, 61:64, 1], points[:, 65:68, 1] = middle - gap / 2, middle + gap / 2
    return points


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_a_place_in_a_crop_leads_to_the_picture_and_back(region):
    alignment = align(region, turned(face(2), 0.4, 0.8, 0.05))
    places = grid_of(5, 7, alignment.centre)
    back = alignment.inwards(alignment.outwards(places))
    torch.testing.assert_close(back, places.expand(2, -1, -1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("region", REGIONS, ids=lambda region: region.name)
def test_crops_follow_a_face_that_turns_grows_and_moves(region):
    before, after = face(), turned(face(), 0.5, 1.3, 0.04)
    seen = [align(region, points).inwards(points) for points in (before, after)]
    torch.testing.assert_close(*seen, atol=1e-4, rtol=0)
    assert face_size(after) == pytest.approx(1.3 * float(face_size(before)), rel=1e-4)


def test_the_left_eye_is_a_right_eye_in_a_mirror():
    picture = torch.rand(1, 3, 96, 96)
    points = face() + 0.01 * torch.randn(1, 68, 2)
    mirrored = points[:, FLIPPED].clone()
    mirrored[..., 0] = 1 - mirrored[..., 0]
    left = crop(picture, align(LEFT_EYE, points), 40, 48)
    right = crop(picture.flip(-1), align(RIGHT_EYE, mirrored), 40, 48)
    torch.testing.assert_close(left, right, atol=1e-4, rtol=0)
    shapes = [
        geometry(region, marks, align(region, marks)).maps
        for region, marks in ((LEFT_EYE, points), (RIGHT_EYE, mirrored))
    ]
    torch.testing.assert_close(*shapes, atol=1e-3, rtol=0)


def test_the_opening_is_the_inside_of_the_lips():
    points = opened(face(), 0.08)
    shape = geometry(MOUTH, points, align(MOUTH, points))
    assert shape.maps.shape == (1, MOUTH.maps, 64, 80)
    corners = align(MOUTH, points).inwards(points)[0] * torch.tensor([40.0, 32.0])
    polygon = corners[[60, 61, 62, 63, 64, 65, 66, 67]]
    x, y = polygon.T
    area = float((x * y.roll(-1) - y * x.roll(-1)).sum().abs() / 2)
    assert float(shape.opening.sum()) == pytest.approx(area, rel=0.1)
    assert (shape.gate >= shape.opening).all()
    assert shape.gate[..., 0].max() == shape.gate[..., -1].max() == 0


def test_a_closed_mouth_has_no_inside_but_may_be_drawn_at():
    points = opened(face(), 0.0)
    shape = geometry(MOUTH, points, align(MOUTH, points))
    # What is left is a line less than a pixel high.
    assert float(shape.opening.sum(2).max()) <= 1.01
    assert float(shape.gate.max()) == 1


def test_what_is_pasted_lies_where_it_was_cut():
    points = turned(face(2), 0.3, 1.1, 0.02)
    picture = torch.zeros(2, 3, 128, 128)
    alignment = align(MOUTH, points)
    bump = torch.zeros(2, 3, 64, 80)
    bump[..., 20:44, 20:60] = 1
    pasted = paste(picture, [(bump, alignment)])
    again = crop(pasted, alignment, 64, 80)
    assert (again - bump).abs()[..., 26:38, 26:54].max() < 1e-3
    assert pasted[..., :20, :].abs().max() == 0
    assert picture.abs().max() == 0  # the picture that was given is untouched


def test_a_patch_is_what_the_whole_picture_would_get():
    points = turned(face(), 0.3, 0.7, 0.1)
    alignment = align(RIGHT_EYE, points)
    change = torch.rand(1, 3, 40, 48)
    change[..., [0, -1], :] = change[..., [0, -1]] = 0
    pasted = paste(torch.zeros(1, 3, 96, 96), [(change, alignment)])
    places = (grid_of(96, 96, alignment.centre) + 1) / 2
    grid = alignment.inwards(places).view(1, 96, 96, 2)
    whole = torch.nn.functional.grid_sample(change, grid, align_corners=False)
    torch.testing.assert_close(pasted, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shift", [5.0, -5.0, 0.499])
def test_a_face_outside_of_the_picture_is_no_error(shift):
    points = face() + shift
    pasted = paste(torch.zeros(1, 3, 64, 64), [(torch.rand(1, 3, 64, 80), align(MOUTH, points))])
    assert torch.isfinite(pasted).all()


def test_a_face_without_size_is_no_error():
    points = torch.full((1, 68, 2), 0.5)
    shape = geometry(MOUTH, points, align(MOUTH, points))
    assert torch.isfinite(shape.maps).all()
    assert isinstance(align(MOUTH, points), Alignment)


def closing(points: torch.Tensor) -> torch.Tensor:
    """With lips and lids much closer together."""
    points = points.clone()
    for region in REGIONS:
        for upper, lower in zip(region.upper[1:-1], region.lower[1:-1], strict=True):
            middle = (points[:, upper] + points[:, lower]) / 2
            points[:, upper] = points[:, lower] = middle
    return points


def test_what_is_open_as_in_the_source_is_left_as_it_is():
    points = opened(face(2), 0.08)
    for region in REGIONS:
        assert novelty(region, points, points).abs().max() == 0
        assert novelty(region, points, closing(points)).min() == 1
        noisy = points + 0.0005 * torch.randn_like(points)
        assert novelty(region, noisy, points).max() < 0.2
