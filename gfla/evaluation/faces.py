"""Self-reenactment: animate a clip's first frame with the clip's own motion, compare with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from gfla.data.faces import FacePack
from gfla.data.transforms import sample_picture
from gfla.guidance.face import face_structure
from gfla.models.generators import AnimationGenerator
from gfla.training.steps import to_unit

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]
Method = Callable[[FacePack, range], Iterator[Picture]]
"""Renders some frames of a clip, in order, from its first one."""
OUTER_EYES = (36, 45)


def copy_source(clip: FacePack, frames: range) -> Iterator[Picture]:
    """The first baseline: the source, unmoved."""
    source = clip.frame(0)
    for _ in frames:
        yield source


def affine_warp(clip: FacePack, frames: range) -> Iterator[Picture]:
    """The second baseline: the source, warped piece by piece along its landmarks."""
    source = clip.frame(0)
    for index in frames:
        yield piecewise_affine(source, clip.landmarks[0], clip.landmarks[index])


def model(generator: AnimationGenerator, structure_size: int) -> Method:
    """The network, rolled out through every frame; pictures keep their own size."""

    def render(clip: FacePack, frames: range) -> Iterator[Picture]:
        def guidance(index: int) -> tuple[torch.Tensor, torch.Tensor]:
            points = clip.landmarks[index]
            structure = face_structure(points * structure_size - 0.5, structure_size)
            return torch.from_numpy(structure)[None], torch.from_numpy(points)[None]

        with torch.inference_mode():
            state = generator.start(as_tensor(clip.frame(0)), *guidance(0))
            for index in range(max(frames) + 1):
                state, prediction = generator.step(state, *guidance(index))
                if index in frames:
                    yield as_picture(prediction.image)

    return render


def piecewise_affine(source: Picture, source_points: Points, target_points: Points) -> Picture:
    """Warp a square picture: triangles of the target's landmarks and its border, mapped affinely.

    Args:
        source: H x H x 3.
        source_points: 68 x 2 in units of the picture.
        target_points: 68 x 2, where these points are to be.
    """
    size = source.shape[0]
    border = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])
    start, end = np.concatenate([source_points, border]), np.concatenate([target_points, border])
    mesh = Delaunay(end)
    axis = (np.arange(size) + 0.5) / size
    places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    triangles = np.maximum(mesh.find_simplex(places), 0)
    matrices = mesh.transform[triangles]
    first = np.einsum("nij,nj->ni", matrices[:, :2], places - matrices[:, 2])
    shares = np.concatenate([first, 1 - first.sum(1, keepdims=True)], 1)
    origins = np.einsum("ni,nij->nj", shares, start[mesh.simplices[triangles]])
    maps = np.nan_to_num(origins * size - 0.5).astype(np.float32).reshape(size, size, 2)
    return np.asarray(sample_picture(source, maps, cv2.BORDER_REPLICATE), np.uint8)


def landmark_error(found: Points, wanted: Points) -> float:
    """Mean distance of landmarks in percent of the distance of the outer eye corners."""
    eyes = np.linalg.norm(wanted[OUTER_EYES[0]] - wanted[OUTER_EYES[1]])
    return float(100 * np.linalg.norm(found - wanted, axis=1).mean() / eyes)


def table(rows: dict[str, Sequence[tuple[float, ...]]], columns: Sequence[str]) -> str:
    """A Markdown table of each method's means over clips."""
    lines = ["| method | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, values in rows.items():
        means = np.mean(np.array(values), 0)
        lines.append(f"| {name} | " + " | ".join(f"{value:.4g}" for value in means) + " |")
    return "\n".join(lines)


def as_tensor(picture: Picture) -> torch.Tensor:
    """H W 3 as 1 3 H W in [-1, 1]."""
    return to_unit(torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None])


def as_picture(image: torch.Tensor) -> Picture:
    """1 3 H W in [-1, 1] as H W 3."""
    pixels = ((image[0] + 1) * 127.5).round().clamp(0, 255).byte()
    return np.asarray(pixels.permute(1, 2, 0).numpy(), np.uint8)
