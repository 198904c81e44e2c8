"""The values of a rollout: a clip's state between two frames, and what a step predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from gfla.models.attention import SourceFeatures


@dataclass(frozen=True)
class Reference:
    """A picture that frames are rendered from, with all that depends on it alone.

    Attributes:
        image: B 3 H W in [-1, 1].
        small: the picture at the structure's size; ``image`` itself where the sizes are equal.
        structure: B C h w.
        landmarks: B 68 2 in units of the picture, or None.
        features: by layer, ready for local attention.
    """

    image: Tensor
    small: Tensor
    structure: Tensor
    landmarks: Tensor | None
    features: Mapping[int, SourceFeatures]


@dataclass(frozen=True)
class RolloutState:
    """A clip between two frames: a value, so it can be kept, sent elsewhere and continued.

    Attributes:
        source: the clip's own reference picture, the same through the whole clip.
        previous: the latest frames, newest first; the source stands in at the start.
    """

    source: Reference
    previous: tuple[Reference, ...]

    def detach(self) -> RolloutState:
        """The same state with the generated frames cut from the graph (block borders)."""
        return RolloutState(self.source, tuple(_detached(frame) for frame in self.previous))


@dataclass(frozen=True)
class Prediction:
    """One rendered frame.

    Attributes:
        image: B 3 H W in [-1, 1].
        flows: by (layer, reference), B 2 h w, in pixels of that layer.
        masks: by (layer, reference), B 1 h w in 0..1: 1 takes the reference, 0 renders anew.
        rendered: B 3 h w, the renderer's own picture; ``image`` without image-scale fusion.
        blend: B (R + 1) H W, shares of the rendered picture and of each warped reference in the
            result, or None without image-scale fusion.
        residuals: the estimated part of ``flows``, equal to them without a landmark prior.
    """

    image: Tensor
    flows: Mapping[tuple[int, str], Tensor]
    masks: Mapping[tuple[int, str], Tensor]
    rendered: Tensor
    blend: Tensor | None
    residuals: Mapping[tuple[int, str], Tensor]


def _detached(frame: Reference) -> Reference:
    features = {layer: value.detach() for layer, value in frame.features.items()}
    return Reference(
        frame.image.detach(), frame.small.detach(), frame.structure, frame.landmarks, features
    )
