"""Baselines of portrait animation that every model has to beat: no motion at all, and warps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from scipy.spatial import Delaunay

from gfla.arrays import Picture, Points, pixel_centres, to_pixels
from gfla.config import AnimationConfig
from gfla.data.transforms import sample_picture
from gfla.ops.spline import landmark_flow
from gfla.ops.warp import upscale_flow, warp

Method = Callable[[Picture, Points, Points], Iterator[Picture]]
"""Renders a clip: from the source picture H H 3 and its landmarks 68 2 through the landmarks of
every frame, T 68 2, all in units of the picture."""


def copy_source(source: Picture, source_points: Points, targets: Points) -> Iterator[Picture]:
    """The first baseline: the source, unmoved."""
    for _ in targets:
        yield source


def affine_warp(source: Picture, source_points: Points, targets: Points) -> Iterator[Picture]:
    """The second baseline: the source, warped piece by piece along its landmarks."""
    for points in targets:
        yield piecewise_affine(source, source_points, points)


def spline_warp(source: Picture, source_points: Points, targets: Points) -> Iterator[Picture]:
    """The third baseline: the source along the landmark spline of the model's flow prior."""
    size, ridge = source.shape[0], AnimationConfig().prior_ridge
    # Grey values 0..255 throughout: a warp is linear.
    image = torch.tensor(source).permute(2, 0, 1)[None].float()
    known = torch.tensor(source_points, dtype=torch.float32)[None, None]
    for points in targets:
        wanted = torch.tensor(points, dtype=torch.float32)[None]
        # At half the size, as a generator has it.
        flow = landmark_flow(wanted, known, (size // 2, size // 2), ridge)[:, 0]
        warped = warp(image, upscale_flow(flow, 2))[0]
        yield (warped.permute(1, 2, 0) + 0.5).clamp(0, 255).to(torch.uint8).numpy()


def piecewise_affine(source: Picture, source_points: Points, target_points: Points) -> Picture:
    """Warp a square picture: triangles of the target's landmarks and its border, mapped affinely.

    Args:
        source: H x H x 3.
        source_points: 68 x 2 in units of the picture.
        target_points: 68 x 2, where these points are to be.
    """
    size = source.shape[0]
    # Triangles of the target, the corners and middles of the border included.
    border = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])
    start, end = np.concatenate([source_points, border]), np.concatenate([target_points, border])
    mesh = Delaunay(end)
    axis = pixel_centres(size)
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    # Which triangle each pixel's centre is in, and its barycentric coordinates there.
    triangles = np.maximum(mesh.find_simplex(places), 0)
    matrices = mesh.transform[triangles]
    first = np.einsum("nij,nj->ni", matrices[:, :2], places - matrices[:, 2])
    shares = np.concatenate([first, 1 - first.sum(1, keepdims=True)], 1)
    # The same coordinates in the source's triangle; degenerate ones give no number.
    origins = np.einsum("ni,nij->nj", shares, start[mesh.simplices[triangles]])
    maps = np.nan_to_num(to_pixels(origins, size)).astype(np.float32).reshape(size, size, 2)
    return np.asarray(sample_picture(source, maps, cv2.BORDER_REPLICATE), np.uint8)
