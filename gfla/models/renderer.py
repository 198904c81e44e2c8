"""The local neural texture renderer: the target branch of a generator (section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from gfla.models.attention import LocalAttention, SourceFeatures
from gfla.models.blocks import Encoder, Out, Res, Up


class Renderer(nn.Module):
    """Renders a structure with features that local attention brings from the references."""

    def __init__(
        self,
        structure_channels: int,
        widths: tuple[int, ...],
        attention: tuple[tuple[int, int], ...],
        attention_hidden: int,
        kinds: Sequence[str],
        outputs: int,
    ) -> None:
        """Build the branch.

        Args:
            structure_channels: of the structure guidance.
            widths: output channels of the Downs, layer 1 first.
            attention: (layer, kernel size) of every attention block.
            attention_hidden: hidden channels of the kernel predictors.
            kinds: names of the reference kinds; each has attention weights of its own.
            outputs: channels of the output layer.
        """
        super().__init__()
        self.encoder = Encoder(structure_channels, widths)
        self.attention = nn.ModuleDict(
            {
                str(layer): nn.ModuleDict(
                    {k: LocalAttention(widths[layer - 1], kernel, attention_hidden) for k in kinds}
                )
                for layer, kernel in attention
            }
        )
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
        return {k: self.block(k, kind).prepare(features[k - 1]) for k in layers}

    def block(self, layer: int, kind: str) -> LocalAttention:
        """The attention block for references of a kind at a layer."""
        block = self.attention.get_submodule(f"{layer}.{kind}")
        assert isinstance(block, LocalAttention)
        return block

    def forward(
        self,
        structure: Tensor,
        references: Sequence[tuple[str, Mapping[int, SourceFeatures]]],
        estimates: Mapping[int, tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Render.

        Args:
            structure: B C H W.
            references: kind and prepared features of each reference, R in all.
            estimates: by layer, flows B R 2 h w and masks B R 1 h w.

        Returns:
            B outputs H W, without the final tanh.
        """
        features = self.encoder(structure)[-1]
        layer = len(self.ups)
        for residual, up in zip(self.residuals, self.ups, strict=True):
            if str(layer) in self.attention:
                features = self._attend(layer, features, references, estimates[layer])
            features = up(residual(features))
            layer -= 1
        return self.out(features)

    def _attend(
        self,
        layer: int,
        target: Tensor,
        references: Sequence[tuple[str, Mapping[int, SourceFeatures]]],
        estimate: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Fuse the attended references: the published model adds their blends with the target."""
        flows, masks = estimate
        blends = []
        for index, (kind, prepared) in enumerate(references):
            attended = self.block(layer, kind)(target, prepared[layer], flows[:, index])
            mask = masks[:, index]
            blends.append((1 - mask) * target + mask * attended)
        return sum(blends[1:], blends[0])
