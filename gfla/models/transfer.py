"""Generators that render one target picture from one source picture (sections 3 and 5)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from gfla.config import PoseTransferConfig, ViewSynthesisConfig
from gfla.models.attention import SourceFeatures
from gfla.models.blocks import Encoder, join
from gfla.models.flow import Estimates, FlowEstimator
from gfla.models.renderer import Renderer
from gfla.models.rollout import Prediction
from gfla.shapes import check_sides, shape_of

REFERENCE = "reference"
"""Name of the only reference."""


class TransferGenerator(nn.Module):
    """Pose transfer or view synthesis: the source picture in another pose, or from another side."""

    def __init__(
        self,
        config: PoseTransferConfig | ViewSynthesisConfig,
        encoder: Encoder | None,
        flow_estimator: FlowEstimator | None,
        renderer: Renderer,
    ) -> None:
        """Put the network together; the ablations do without some parts.

        Args:
            config: what it was built from.
            encoder: of the source picture; None if the renderer sees the picture itself.
            flow_estimator: None if nothing is sampled along a flow.
            renderer: the target branch.
        """
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.flow_estimator = flow_estimator
        self.renderer = renderer

    def forward(
        self,
        source: Tensor,
        source_structure: Tensor,
        target_structure: Tensor,
        features: Mapping[int, SourceFeatures] | None = None,
    ) -> Prediction:
        """Render the target.

        Args:
            source: B 3 H W in [-1, 1].
            source_structure: of the source; B C H W, or B C 1 1 for view synthesis.
            target_structure: of the picture to render, alike.
            features: what ``features`` gives for this source, where that is known already.

        Returns:
            The picture, B 3 H W in [-1, 1], with flows and masks by (layer, "reference").

        Raises:
            GflaError: ``invalid_shape``.
        """
        self._check(source, source_structure, target_structure)
        # Flow and mask (section 3.1); the ablations without a flow have none.
        seen, condition, target = self._shown(source, source_structure, target_structure)
        estimates: Estimates = self.flow_estimator(seen, condition) if self.flow_estimator else {}
        # Without an encoder, the baseline, the renderer sees all that the flow estimator would.
        references = []
        if self.encoder is None:
            target = seen
        else:
            references = [(REFERENCE, features or self.features(source))]
        image = self.renderer(self.renderer.encode(target), references, estimates).tanh()
        flows = _named_flows(estimates)
        masks = {(layer, REFERENCE): mask[:, 0] for layer, (_, mask) in estimates.items()}
        return Prediction(image, flows, masks, rendered=image, blend=None, residuals=flows)

    def features(self, source: Tensor) -> Mapping[int, SourceFeatures]:
        """All that depends on the source picture alone, by layer; empty without an encoder."""
        if self.encoder is None:
            return {}
        return self.renderer.prepare(REFERENCE, self.encoder(source))

    def estimate(
        self, source: Tensor, source_structure: Tensor, target_structure: Tensor
    ) -> dict[tuple[int, str], Tensor]:
        """The flows of ``forward`` alone, by (layer, "reference"); none without an estimator."""
        self._check(source, source_structure, target_structure)
        seen, condition, _ = self._shown(source, source_structure, target_structure)
        return _named_flows(self.flow_estimator(seen, condition) if self.flow_estimator else {})

    def _shown(
        self, source: Tensor, source_structure: Tensor, target_structure: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """What the flow estimator sees, what joins it, and what the renderer sees."""
        if isinstance(self.config, ViewSynthesisConfig):
            # Tiled: a view is the same at every place of the deepest layer.
            size = [side // self.config.multiple for side in source.shape[-2:]]
            source_view, target = (
                view.expand(-1, -1, *size) for view in (source_structure, target_structure)
            )
            # What joins is the turn from one view to the other.
            return source, source_view - target, target
        seen = join([source, source_structure, target_structure])
        return seen, None, target_structure

    def _check(self, source: Tensor, source_structure: Tensor, target_structure: Tensor) -> None:
        config = self.config
        batch, _, height, width = shape_of("source", source, "B 3 H W")
        check_sides("source", height, width, config.multiple)
        shape = "B C 1 1" if isinstance(config, ViewSynthesisConfig) else "B C H W"
        sizes = {"B": batch, "C": config.structure_channels, "H": height, "W": width}
        shape_of("source_structure", source_structure, shape, **sizes)
        shape_of("target_structure", target_structure, shape, **sizes)


def _named_flows(estimates: Estimates) -> dict[tuple[int, str], Tensor]:
    return {(layer, REFERENCE): flow[:, 0] for layer, (flow, _) in estimates.items()}
