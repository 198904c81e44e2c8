"""Thin-plate splines through landmark displacements: a dense flow from sparse points."""

from __future__ import annotations

import torch
from torch import Tensor

from gfla.shapes import shape_of

BORDER = (0.0, 0.5, 1.0)
"""The eight held points lie at these fractions of the picture's sides."""


def landmark_flow(
    target: Tensor, references: Tensor, size: tuple[int, int], ridge: float
) -> Tensor:
    """Dense flow fields that lead from every target landmark to its place in each reference.

    One spline per reference through the landmarks' displacements, with eight points on the
    picture's border held at zero. All references share the control points, so one linear system
    of N + 11 unknowns serves them all.

    Args:
        target: B N 2, landmarks of the frame to render, in units of the picture (x, y in 0..1).
        references: B R N 2, the same landmarks in each reference picture.
        size: height and width of the flow.
        ridge: smoothing; 0 interpolates and folds where landmarks touch.

    Returns:
        B R 2 H W, float32, in pixels of ``size``. No gradient flows through the spline.

    Raises:
        GflaError: ``invalid_shape``.
    """
    batch, points, _ = shape_of("target", target, "B N 2")
    shape_of("references", references, "B R N 2", B=batch, N=points)
    with torch.no_grad(), torch.autocast(target.device.type, enabled=False):
        return _landmark_flow(target.double(), references.double(), size, ridge).float()


def _landmark_flow(
    target: Tensor, references: Tensor, size: tuple[int, int], ridge: float
) -> Tensor:
    batch, count, _, _ = references.shape
    height, width = size
    border = [(x, y) for x in BORDER for y in BORDER if (x, y) != (0.5, 0.5)]
    held = target.new_tensor(border).expand(batch, -1, -1)
    controls = torch.cat([target, held], 1)
    moves = references - target[:, None]
    values = torch.cat([moves, moves.new_zeros(batch, count, len(border), 2)], 2)
    values = values.permute(0, 2, 1, 3).flatten(2)  # B N (R 2)
    points = controls.shape[1]

    affine = torch.cat([controls, controls.new_ones(batch, points, 1)], 2)
    system = controls.new_zeros(batch, points + 3, points + 3)
    system[:, :points, :points] = _kernel(controls, controls)
    system[:, :points, :points] += ridge * torch.eye(
        points, dtype=system.dtype, device=system.device
    )
    system[:, :points, points:] = affine
    system[:, points:, :points] = affine.transpose(1, 2)
    right = torch.cat([values, values.new_zeros(batch, 3, values.shape[2])], 1)
    solution = torch.linalg.solve(system, right).float()

    xs = (torch.arange(width, device=target.device) + 0.5) / width
    ys = (torch.arange(height, device=target.device) + 0.5) / height
    grid = torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], -1).view(
        1, -1, 2
    )
    flow = _kernel(grid.expand(batch, -1, -1), controls.float()) @ solution[:, :points]
    flow += torch.cat([grid, torch.ones_like(grid[..., :1])], 2) @ solution[:, points:]
    flow = flow.view(batch, height, width, count, 2).permute(0, 3, 4, 1, 2)
    return flow * flow.new_tensor([width, height]).view(1, 1, 2, 1, 1)


def _kernel(points: Tensor, controls: Tensor) -> Tensor:
    """U(r) = r^2 log r^2 of all pairs: B M N."""
    norms = points.square().sum(-1)[..., None] + controls.square().sum(-1)[:, None]
    squared = (norms - 2 * points @ controls.transpose(1, 2)).clamp(min=1e-12)
    return squared * squared.log()
