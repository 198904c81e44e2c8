"""Pose transfer as a rollout: frames of a clip, each rendered from the source alone."""

from __future__ import annotations

from torch import Tensor, nn

from gfla.models.rollout import Prediction, Reference, RolloutState
from gfla.models.transfer import REFERENCE, TransferGenerator


class FrameByFrame(nn.Module):
    """A generator for pose transfer that is stepped as ``AnimationGenerator`` is.

    No frame knows of the frames before it, so that a state is the source and nothing else.
    """

    references = (REFERENCE,)

    def __init__(self, generator: TransferGenerator) -> None:
        """Wrap a generator; it stays the same one."""
        super().__init__()
        self.generator = generator
        self.config = generator.config

    def start(
        self, image: Tensor, structure: Tensor, landmarks: Tensor | None = None
    ) -> RolloutState:
        """The state in which every frame of a clip is rendered.

        Args:
            image: B 3 H W in [-1, 1], the source picture.
            structure: B 18 H W, its heat maps.
            landmarks: nothing; a step has none.
        """
        return RolloutState(self.source(image, structure, landmarks), ())

    def source(
        self, image: Tensor, structure: Tensor, landmarks: Tensor | None = None
    ) -> Reference:
        """The source, with all that depends on it alone."""
        features = self.generator.features(image)
        return Reference(image, image, structure, None, features)

    def reference(
        self, kind: str, image: Tensor, structure: Tensor, landmarks: Tensor | None
    ) -> Reference:
        """As ``source``; there is one kind of reference."""
        return self.source(image, structure, landmarks)

    def prior(
        self, state: RolloutState, structure: Tensor, landmarks: Tensor | None
    ) -> Tensor | None:
        """None: no landmarks lead a flow."""
        return None

    def step(
        self,
        state: RolloutState,
        structure: Tensor,
        landmarks: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> tuple[RolloutState, Prediction]:
        """Render a frame.

        Args:
            state: of ``start``.
            structure: B 18 H W of the frame.
            landmarks: nothing, and so is the next one.
            prior: see above.

        Returns:
            The same state, and the frame.

        Raises:
            GflaError: ``invalid_shape``.
        """
        source = state.source
        return state, self.generator(source.image, source.structure, structure, source.features)
