"""The values of a rollout: a clip's state between two frames, and what a step predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gfla.models.attention import SourceFeatures
from gfla.models.regions import Finished, SourceRegions


@dataclass(frozen=True)
class Reference:
    """A picture that frames are rendered from, with all that depends on it alone.

    Attributes:
        image: B 3 H W in [-1, 1].
        small: the picture at the structure's size; ``image`` itself where the sizes are equal.
        structure: B C h w.
        landmarks: B 68 2 in units of the picture, or None.
        features: by layer, ready for local attention.
        regions: of a clip's source, what the region heads keep of it; see ``SourceRegions``.
        flow: of a rendered frame, B 2 h/2 w/2 in units of the picture: what leads from each of its
            places to the source's; 0 where the source stands in, None for the source itself.
    """

    image: Tensor
    small: Tensor
    structure: Tensor
    landmarks: Tensor | None
    features: Mapping[int, SourceFeatures]
    regions: SourceRegions = field(default_factory=dict)
    flow: Tensor | None = None


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
class Told:
    """What a step is told of its frame, and what follows from that and earlier guidance alone.

    Attributes:
        structure: B C h w, the frame's structure guidance.
        landmarks: B 68 2 in units of the picture, or None.
        prior: B R 2 h w in pixels of the structure, the landmarks' flow to every reference; None
            without one.
        encoded: what the renderer makes of the structure alone; None where the step is to do that.
    """

    structure: Tensor
    landmarks: Tensor | None = None
    prior: Tensor | None = None
    encoded: Tensor | None = None


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
        regions: what the region heads drew, or None without them.
    """

    image: Tensor
    flows: Mapping[tuple[int, str], Tensor]
    masks: Mapping[tuple[int, str], Tensor]
    rendered: Tensor
    blend: Tensor | None
    residuals: Mapping[tuple[int, str], Tensor]
    regions: Finished | None = None


def known_of(state: RolloutState) -> tuple[Tensor | None, ...]:
    """The landmarks of all references of the next frame, in their order: B 68 2 each, or None."""
    return tuple(reference.landmarks for reference in (*state.previous, state.source))


def stack(references: Sequence[Reference]) -> Reference:
    """References of several clips as one batch; all of the same sizes."""
    return _merged(references, lambda parts: torch.cat(list(parts)))


def split(reference: Reference, count: int) -> list[Reference]:
    """The first clips of a batch, each in memory of its own."""

    def part(index: int) -> Reference:
        return _merged([reference], lambda whole: whole[0][index : index + 1].clone())

    return [part(index) for index in range(count)]


def overwrite(old: Reference, new: Reference) -> None:
    """Put a reference of the same sizes into the memory of another."""

    def copy(pair: Sequence[Tensor]) -> Tensor:
        return pair[0].copy_(pair[1])

    _merged([old, new], copy)


def _merged(
    references: Sequence[Reference], merge: Callable[[Sequence[Tensor]], Tensor]
) -> Reference:
    """One reference of several, each of its tensors of the tensors in the same place."""
    first = references[0]
    # ``small`` may be ``image`` itself, and then stays it: not twice in memory.
    image = merge([one.image for one in references])
    same = all(one.small is one.image for one in references)
    # Features by layer; projections are missing where nothing predicts kernels.
    features = {}
    for layer in first.features:
        parts = [one.features[layer] for one in references]
        projections = [one.projection for one in parts if one.projection is not None]
        projection = merge(projections) if projections else None
        features[layer] = SourceFeatures(merge([one.features for one in parts]), projection)
    # Landmarks, flows and regions: all clips of a model have them, or none.
    landmarks = [one.landmarks for one in references if one.landmarks is not None]
    flows = [one.flow for one in references if one.flow is not None]
    regions = {
        name: tuple(map(merge, zip(*(one.regions[name] for one in references), strict=True)))
        for name in first.regions
    }
    return Reference(
        image,
        image if same else merge([one.small for one in references]),
        merge([one.structure for one in references]),
        merge(landmarks) if landmarks else None,
        features,
        regions,
        merge(flows) if flows else None,
    )


def _detached(frame: Reference) -> Reference:
    features = {layer: value.detach() for layer, value in frame.features.items()}
    return Reference(
        frame.image.detach(),
        frame.small.detach(),
        frame.structure,
        frame.landmarks,
        features,
        flow=frame.flow,
    )
