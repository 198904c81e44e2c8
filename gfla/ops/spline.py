"""Thin-plate splines through landmark displacements: a dense flow from sparse points."""

from __future__ import annotations

import torch
from torch import Tensor

from gfla.ops.ranges import smooth_step
from gfla.shapes import shape_of

BORDER = (0.0, 0.5, 1.0)
"""The eight held points lie at these fractions of the picture's sides."""
_TALL = 1.35
"""Height of a head over that of its landmarks, which end at the brows."""
_FADE = 1.7
"""Where a head's reach ends, over where it begins to."""
_ROWS = 16
"""Rows of a flow that a CPU makes at once: a megabyte or so, which stays in its cache."""


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
    _, count, _, _ = shape_of("references", references, "B R N 2", B=batch, N=points)
    height, width = size
    with torch.no_grad(), torch.autocast(target.device.type, enabled=False):
        controls, solution = _solve(target.double(), references.double(), ridge)
        # Distances of a grid's places are sums of one term a column and one a row.
        xs, ys = _centres(width, target.device), _centres(height, target.device)
        across = (controls[..., :1] - xs).square().float()
        down = (controls[..., 1:] - ys).square().float()
        weights = solution.transpose(1, 2).float()
        # The affine part at the centre of every pixel.
        x, y, one = (weights[:, :, -3 + index, None, None] for index in range(3))
        flow = x * xs + y * ys[:, None] + one
        # The bends, a few rows at once: what those need stays in a processor's cache.
        rows = height if target.is_cuda else _ROWS
        for top in range(0, height, rows):
            block = slice(top, top + rows)
            bends = _bend((down[:, :, block, None] + across[:, :, None]).flatten(2))
            flow[:, :, block] += (weights[:, :, :-3] @ bends).unflatten(2, (-1, width))
        # From units of the picture to pixels of ``size``, x by the width and y by the height.
        flow = flow.unflatten(1, (count, 2))
        flow[:, :, 0] *= width
        flow[:, :, 1] *= height
        return flow


def landmark_moves(target: Tensor, references: Tensor, places: Tensor, ridge: float) -> Tensor:
    """The same spline at certain places of the frame to render.

    Args:
        target: B N 2, as for ``landmark_flow``.
        references: B R N 2.
        places: B M 2, units of the picture.
        ridge: smoothing.

    Returns:
        B R M 2, float32, what leads from each place to each reference, in units of the picture. No
        gradient flows through the spline.

    Raises:
        GflaError: ``invalid_shape``.
    """
    batch, points, _ = shape_of("target", target, "B N 2")
    _, count, _, _ = shape_of("references", references, "B R N 2", B=batch, N=points)
    shape_of("places", places, "B M 2", B=batch)
    # Double precision to solve: kernels of neighbouring landmarks are almost the same row.
    with torch.no_grad(), torch.autocast(target.device.type, enabled=False):
        controls, solution = _solve(target.double(), references.double(), ridge)
        controls, solution, places = controls.float(), solution.float(), places.float()
        moves = _kernel(places, controls) @ solution[:, :-3]
        moves += torch.cat([places, torch.ones_like(places[..., :1])], 2) @ solution[:, -3:]
        return moves.unflatten(2, (count, 2)).transpose(1, 2)


def reach_of_heads(
    target: Tensor, references: Tensor, size: tuple[int, int], reach: float
) -> Tensor:
    """Where heads move what they carry along: 1 at and near them, falling to 0 further away.

    A head is an ellipse around its landmarks and the forehead. What the target's head and the
    reference's both leave alone, such as shoulders and background, has 0.

    Args:
        target: B N 2, landmarks of the frame to render, in units of the picture.
        references: B R N 2, the same landmarks in each reference picture.
        size: height and width of the result.
        reach: radii of the ellipse up to which it is 1; 0 from 1.7 times that.

    Returns:
        B R 1 H W, 0 to 1.
    """
    height, width = size
    landmarks = torch.cat([target[:, None], references], 1).float()
    # The ellipse of each head: centre and half axes.
    low, high = landmarks.amin(2), landmarks.amax(2)
    half = ((high - low) / 2).clamp(min=1e-3)
    # The forehead lies above the landmarks: the centre moves up by what the ellipse grows.
    x = (low[..., 0] + high[..., 0]) / 2
    y = (low[..., 1] + high[..., 1]) / 2 - (_TALL - 1) * half[..., 1]
    xs, ys = _centres(width, target.device), _centres(height, target.device)
    # Distance in half axes, 1 on the ellipse; full share up to ``reach``, then it fades.
    across = (xs - x[..., None]) / half[..., :1]
    down = (ys - y[..., None]) / (_TALL * half[..., 1:])
    radius = (across[..., None, :].square() + down[..., :, None].square()).sqrt()
    share = ((_FADE - radius / reach) / (_FADE - 1)).clamp(0, 1)
    share = smooth_step(share)
    return torch.maximum(share[:, :1], share[:, 1:])[:, :, None]


def _centres(count: int, device: torch.device) -> Tensor:
    """Where so many pixels in a row lie, in units of the picture: the first at half a pixel."""
    return (torch.arange(count, device=device) + 0.5) / count


def _solve(target: Tensor, references: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Control points B P 2, and the weights B (P + 3) (R 2) of their kernels and of x, y, 1."""
    batch, count, _, _ = references.shape
    # Controls and their displacements: landmarks, and the border's eight points, which stay.
    border = [(x, y) for x in BORDER for y in BORDER if x in (0, 1) or y in (0, 1)]
    held = target.new_tensor(border).expand(batch, -1, -1)
    controls = torch.cat([target, held], 1)
    moves = references - target[:, None]
    values = torch.cat([moves, moves.new_zeros(batch, count, len(border), 2)], 2)
    values = values.permute(0, 2, 1, 3).flatten(2)  # B N (R 2)
    points = controls.shape[1]

    # [K + ridge, P; P', 0]: kernels bend, P = (x, y, 1) is affine, and weights cancel against it.
    affine = torch.cat([controls, controls.new_ones(batch, points, 1)], 2)
    system = controls.new_zeros(batch, points + 3, points + 3)
    system[:, :points, :points] = _kernel(controls, controls)
    system[:, :points, :points] += ridge * torch.eye(
        points, dtype=system.dtype, device=system.device
    )
    system[:, :points, points:] = affine
    system[:, points:, :points] = affine.transpose(1, 2)
    right = torch.cat([values, values.new_zeros(batch, 3, values.shape[2])], 1)
    return controls, torch.linalg.solve(system, right)


def _kernel(points: Tensor, controls: Tensor) -> Tensor:
    """U(r) = r^2 log r^2 of all pairs: B M N."""
    # r^2 log r^2 is twice r^2 log r; |a - b|^2 by products, which needs no B M N 2 in memory.
    norms = points.square().sum(-1)[..., None] + controls.square().sum(-1)[:, None]
    return _bend(norms - 2 * points @ controls.transpose(1, 2))


def _bend(squared: Tensor) -> Tensor:
    """U of squared distances, which it overwrites."""
    squared = squared.clamp_(min=1e-12)
    return squared.log().mul_(squared)
