"""Pose transfer as a rollout: frames of a clip, each rendered from the source alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from gfla.models.rollout import Prediction, Reference, RolloutState, Told
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
        self, structure: Tensor, landmarks: Tensor | None, known: Sequence[Tensor | None]
    ) -> Tensor | None:
        """None: no landmarks lead a flow."""
        return None

    def step(
        self, state: RolloutState, structure: Tensor, landmarks: Tensor | None = None
    ) -> tuple[RolloutState, Prediction]:
        """Render a frame.

        Args:
            state: of ``start``.
            structure: B 18 H W of the frame.
            landmarks: nothing.

        Returns:
            The same state, and the frame.

        Raises:
            GflaError: ``invalid_shape``.
        """
        return self.advance(state, self.tell(structure, landmarks, ()))

    def tell(
        self, structure: Tensor, landmarks: Tensor | None, known: Sequence[Tensor | None]
    ) -> Told:
        """What ``advance`` is told of a frame; see `AnimationGenerator.tell`."""
        return Told(structure)

    def advance(self, state: RolloutState, told: Told) -> tuple[RolloutState, Prediction]:
        """The whole of a step."""
        source, target = state.source, told.structure
        return state, self.generator(source.image, source.structure, target, source.features)

    def finish(self, image: Tensor, landmarks: Tensor | None, source: Reference) -> None:
        """Nothing: ``advance`` leaves nothing to draw."""
