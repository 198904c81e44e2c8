"""Faces by the networks: uint8 pictures and landmarks in, uint8 frames out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from animator.animation.rollout.generator import Guidance, RolloutGenerator
from animator.faces.crop import fit_size
from animator.weights.library import require_face, structure_size
from gfla.arrays import to_pixels
from gfla.checkpoint import Checkpoint
from gfla.guidance.face import LABELS, face_structure, face_style
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import Reference, RolloutState


class PortraitGenerator(RolloutGenerator):
    """A loaded face model on a device; pictures are squares.

    Attributes:
        structure_size: side of the guidance in pixels.
        background_edges: whether the guidance shows the edges of the source's background, as the
            published face model was trained with.
        style: how the guidance is drawn; "published" is from landmarks on whole pixels.
    """

    subject = "face"
    network: AnimationGenerator

    def _open(self, loaded: Checkpoint, name: str) -> AnimationGenerator:
        config = loaded.generator.config
        require_face(config, name)
        assert isinstance(loaded.generator, AnimationGenerator)
        self.structure_size = structure_size(config, loaded.info, name)
        self.background_edges = loaded.info.get("background_edges") is True
        self.style = face_style(loaded.info)
        return loaded.generator

    def inner_size(self, size: int) -> int:
        """Side of the pictures that the networks handle for results of ``size`` pixels."""
        if self.network.fusion is None:
            return self.structure_size
        return self.structure_size * max(1, -(-size // self.structure_size))

    def flow(self, state: RolloutState) -> NDArray[np.float32]:
        """How the frame of a state has moved.

        Returns:
            2 x g x g in units of the crop: what leads from each place to the source's.
        """
        flow = state.previous[0].flow
        assert flow is not None
        return flow[0].float().cpu().numpy()

    def _drawn_on(self, landmarks: NDArray[np.floating], source: Reference) -> Guidance:
        structure, points = self._drawn(landmarks, None)
        if self.background_edges:
            structure = with_background(structure, source.structure)
        return structure, points

    def _drawn(
        self, landmarks: NDArray[np.floating], picture: NDArray[np.uint8] | None
    ) -> Guidance:
        size, seen = self.structure_size, None
        if picture is not None and self.background_edges:
            seen = fit_size(picture, size)
        structure = face_structure(to_pixels(landmarks, size), size, seen, self.style)
        points = torch.from_numpy(np.asarray(landmarks, np.float32))
        return (
            torch.from_numpy(structure)[None].to(self.device),
            points[None].to(self.device),
        )


def with_background(structure: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """A frame's structure with the edges of the source's background around its face.

    What is animated keeps the source's background, so every frame has the edges that the source
    has: those outside the source's own face, and outside the frame's face where that has moved
    over them. They come from the source's structure, a part of the clip's state, so nothing else
    is kept between frames and no edge is looked for twice.

    Args:
        structure: B 16 s s of the frame, without background.
        source: B 16 s s of the source, with the edges of its picture.

    Returns:
        B 16 s s.
    """
    # The source's own outline is not background. Its distance maps are 0 up to 2 px around it.
    background = source[:, 0] * (source[:, 1:LABELS].amin(1) > 0)
    edges = torch.maximum(structure[:, 0], background * (structure[:, LABELS] == 0))
    return torch.cat([edges[:, None], structure[:, 1:]], 1)
