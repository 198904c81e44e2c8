"""The local neural texture renderer: the target branch of a generator (section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gfla.models.ablations import BilinearSampling, GlobalAttention
from gfla.models.attention import LocalAttention, SourceFeatures
from gfla.models.blocks import Encoder, Out, Res, Up
from gfla.models.flow import Estimates

Sampler = LocalAttention | BilinearSampling | GlobalAttention


class ViewEncoder(nn.Module):
    """Grows a tiled view vector into features two layers up."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.ups = nn.Sequential(Up(inputs, hidden), Up(hidden, outputs))

    def forward(self, view: Tensor) -> list[Tensor]:
        """B inputs h w -> [B outputs 4h 4w], listed as ``Encoder`` lists its features."""
        return [self.ups(view)]


class Renderer(nn.Module):
    """Renders a structure with features that its samplers bring from the references."""

    def __init__(
        self,
        encoder: Encoder | ViewEncoder,
        samplers: Mapping[int, Mapping[str, Sampler]],
        widths: tuple[int, ...],
        outputs: int,
    ) -> None:
        """Put the branch together.

        Args:
            encoder: of the structure; the last of its features are those of the deepest layer.
            samplers: by layer and by kind of reference; each kind has weights of its own.
            widths: of the features, layer 1 first.
            outputs: channels of the output layer.
        """
        super().__init__()
        self.encoder = encoder
        self.attention = nn.ModuleDict(
            {str(layer): nn.ModuleDict(dict(kinds)) for layer, kinds in samplers.items()}
        )
        # Deepest layer first; the last Up keeps its width, as published.
        self.residuals = nn.ModuleList(Res(width) for width in reversed(widths))
        after = (*reversed(widths[:-1]), widths[0])
        self.ups = nn.ModuleList(Up(i, o) for i, o in zip(reversed(widths), after, strict=True))
        self.out = Out(widths[0], outputs)

    def prepare(self, kind: str, features: Sequence[Tensor]) -> dict[int, SourceFeatures]:
        """The halves of attention that depend on one reference alone, by layer.

        Args:
            kind: of the reference.
            features: of its encoder, layer 1 first.
        """
        layers = [int(layer) for layer in self.attention]
        return {k: self._sampler(k, kind).prepare(features[k - 1]) for k in layers}

    def encode(self, structure: Tensor) -> Tensor:
        """What depends on the structure alone: B C H W -> the features of the deepest layer."""
        return self.encoder(structure)[-1]

    def forward(
        self,
        features: Tensor,
        references: Sequence[tuple[str, Mapping[int, SourceFeatures]]],
        estimates: Estimates,
    ) -> Tensor:
        """Render.

        Args:
            features: of ``encode``.
            references: kind and prepared features of each reference, R in all.
            estimates: flows and masks; empty if the samplers need none.

        Returns:
            B outputs H W, without the final tanh.
        """
        # From the deepest layer to the full size; attention where the configuration has it.
        layer = len(self.ups)
        for residual, up in zip(self.residuals, self.ups, strict=True):
            if str(layer) in self.attention:
                features = self._attend(layer, features, references, estimates)
            features = up(residual(features))
            layer -= 1
        return self.out(features)

    def _sampler(self, layer: int, kind: str) -> Sampler:
        sampler = self.attention.get_submodule(f"{layer}.{kind}")
        assert isinstance(sampler, Sampler)
        return sampler

    def _attend(
        self,
        layer: int,
        target: Tensor,
        references: Sequence[tuple[str, Mapping[int, SourceFeatures]]],
        estimates: Estimates,
    ) -> Tensor:
        """Fuse the attended references: the published model adds their blends with the target."""
        blends = [
            self._blend(layer, target, reference, estimates, index)
            for index, reference in enumerate(references)
        ]
        return sum(blends[1:], blends[0])

    def _blend(
        self,
        layer: int,
        target: Tensor,
        reference: tuple[str, Mapping[int, SourceFeatures]],
        estimates: Estimates,
        index: int,
    ) -> Tensor:
        """The target mixed with what is attended of one reference, the ``index``-th."""
        kind, prepared = reference
        sampler = self._sampler(layer, kind)
        # It has neither flow nor mask: what it finds is added.
        if isinstance(sampler, GlobalAttention):
            return target + sampler(target, prepared[layer])
        flows, masks = estimates[layer]
        attended: Tensor = sampler(target, prepared[layer], flows[:, index])
        # Equation 10.
        return torch.lerp(target, attended, masks[:, index])
