"""Objects by the networks: a uint8 picture and sides to see it from in, uint8 frames out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from animator.animation.rollout.generator import Guidance, RolloutGenerator
from animator.errors import AnimatorError
from animator.views.track import side_of
from animator.weights.library import purpose, structure_size
from gfla.checkpoint import Checkpoint
from gfla.config import ViewSynthesisConfig
from gfla.data.views import view_vector
from gfla.models.frames import FrameByFrame
from gfla.models.transfer import TransferGenerator


class ObjectGenerator(RolloutGenerator):
    """A loaded model for view synthesis on a device.

    Points are 1 x 2, azimuth and elevation in degrees.

    Attributes:
        side: of the pictures that the networks see, in pixels.
    """

    subject = "object"

    def _open(self, loaded: Checkpoint, name: str) -> FrameByFrame:
        config = loaded.generator.config
        if not isinstance(config, ViewSynthesisConfig):
            raise AnimatorError(
                "weights_wrong_kind",
                f"The weights {name!r} are for {purpose(config)} ({config.kind}); views of an "
                "object need weights for view synthesis.",
            )
        assert isinstance(loaded.generator, TransferGenerator)
        size = loaded.info.get("image_size")
        square = isinstance(size, list) and len(size) == 2 and size[0] == size[1]
        info = {"structure_size": size[0]} if square and size is not None else loaded.info
        self.side = structure_size(config, info, name)
        return FrameByFrame(loaded.generator)

    def inner_size(self, size: int) -> int:
        """See `RolloutGenerator.inner_size`."""
        return self.side

    def _drawn(self, points: NDArray[np.floating], picture: NDArray[np.uint8] | None) -> Guidance:
        return view_vector(*side_of(points).steps)[None].to(self.device), None
