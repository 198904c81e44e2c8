"""The rollout: uint8 pictures and points in, uint8 frames out; networks in between.

This is the one place where pictures become tensors: sizes, value ranges and precision are settled
here, and nothing else in this package knows of them.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from animator.animation.rollout.state_cache import StateCache
from animator.errors import AnimatorError
from animator.persons.windows import Resample
from animator.processor import cores
from animator.weights.loading import load_checkpoint
from animator.weights.subjects import SubjectKind
from gfla.checkpoint import Checkpoint
from gfla.errors import GflaError
from gfla.models.frames import FrameByFrame
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import Prediction, Reference, RolloutState, Told, known_of
from gfla.ops.ranges import from_bytes
from gfla.pictures import to_picture

Guidance = tuple[torch.Tensor, torch.Tensor | None]
"""What the networks are told of a frame: its structure 1 C h w, and a face's landmarks 1 68 2."""


Network = AnimationGenerator | FrameByFrame


class Unfinished(NamedTuple):
    """A frame of which the next ones know, and in which something is still to be drawn.

    Attributes:
        image: 1 3 H W in [-1, 1].
        landmarks: of the frame; None where nothing is left to draw.
        source: of its clip.
    """

    image: torch.Tensor
    landmarks: torch.Tensor | None
    source: Reference


class RolloutGenerator(ABC):
    """A loaded model on a device, which renders clips frame by frame.

    What it draws of a face or a person is told by its subclasses; points are landmarks 68 x 2 or
    joints 18 x 2 in units of what the networks see (0..1 from edge to edge).

    Attributes:
        subject: what it animates.
        network: the networks alone.
        name: of the weights, with the start of their SHA-256.
        sha256: of the weights' file.
        precision: "float32" or "bfloat16".
        starts: the states in which clips have begun.
    """

    subject: ClassVar[SubjectKind]
    background_edges = False
    """Whether the guidance shows the edges of the source's background."""
    truncates = False
    """Whether frames are cut to whole levels, as the published code does, or rounded."""
    resample: Resample = "bicubic"
    """By which filter a picture of a person comes to what the networks see."""

    def __init__(self, weights: Path, device: torch.device, precision: str) -> None:
        """Load the weights.

        Args:
            weights: checkpoint of ``gfla.checkpoint``.
            device: where the networks run.
            precision: "float32" or "bfloat16" (autocast).

        Raises:
            AnimatorError: weights_unreadable, weights_wrong_kind.
        """
        loaded, self.sha256, self.name = load_checkpoint(weights, device)
        try:
            network = self._open(loaded, str(weights))
        except GflaError as error:  # it asks for guidance that nobody draws
            message = f"The weights {str(weights)!r} cannot be used: {error.message}."
            raise AnimatorError("weights_unreadable", message) from error
        self.network: Network = network.requires_grad_(False)
        if device.type == "cpu":  # a sixth to a quarter less time there
            self.network = self.network.to(memory_format=torch.channels_last)
            if isinstance(self.network, AnimationGenerator) and cores() > 1:
                self.network.pool = ThreadPoolExecutor(cores(), "beside")
        self.device = device
        self.precision = precision
        self.starts = StateCache()

    @abstractmethod
    def _open(self, loaded: Checkpoint, name: str) -> Network:
        """The networks of a checkpoint, once it is known to be of this kind."""

    @abstractmethod
    def _drawn(self, points: NDArray[np.floating], picture: NDArray[np.uint8] | None) -> Guidance:
        """The guidance of a frame, or of the source, of which there is a picture."""

    @abstractmethod
    def inner_size(self, size: int) -> int:
        """Height of the pictures that the networks handle for results of ``size`` pixels."""

    @property
    def references(self) -> tuple[str, ...]:
        """Names of what a frame is rendered from: newest previous frame first, source last."""
        if isinstance(self.network, FrameByFrame):
            return self.network.references
        return self.network.config.references

    def start(self, picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> RolloutState:
        """Begin a clip; those of the same picture and landmarks share what it takes.

        Args:
            picture: what the networks see of the source, uint8 H W 3 RGB.
            landmarks: its points.
        """
        given = hashlib.sha256(repr((picture.shape, landmarks.dtype)).encode())
        for part in (picture, landmarks):
            given.update(np.ascontiguousarray(part).data)
        return self.starts.get(given.digest(), lambda: self._started(picture, landmarks))

    def begin(self, picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> RolloutState:
        """As ``start``, of a picture that is seen once, such as a frame of a video."""
        return self._started(picture, landmarks)

    def source(self, picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> Reference:
        """The source of ``begin`` alone, in less time: for a clip that goes on with another one."""
        with self.arithmetic():
            return self.network.source(*self._seen(picture, landmarks))

    def _started(self, picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> RolloutState:
        with self.arithmetic():
            return self.network.start(*self._seen(picture, landmarks))

    def _seen(
        self, picture: NDArray[np.uint8], landmarks: NDArray[np.floating]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        # Bytes go to the device, a quarter of what floats would be.
        image = torch.from_numpy(np.require(picture, requirements=("C", "W"))).to(self.device)
        image = from_bytes(image[None].permute(0, 3, 1, 2))
        return image, *self._laid_out(self._drawn(landmarks, picture))

    def _laid_out(self, drawn: Guidance) -> Guidance:
        """Guidance in memory as the networks read it fastest."""
        structure, points = drawn
        if self.device.type == "cpu":
            structure = structure.contiguous(memory_format=torch.channels_last)
        return structure, points

    def step(
        self, state: RolloutState, landmarks: NDArray[np.floating]
    ) -> tuple[RolloutState, NDArray[np.uint8]]:
        """Render the next frame.

        Args:
            state: of ``start`` or of the step before.
            landmarks: the points of the frame.

        Returns:
            The state after the frame, and the frame: uint8 H W 3 RGB.
        """
        return self.step_drawn(state, self.guidance(landmarks, state))

    def step_drawn(
        self, state: RolloutState, drawn: Guidance
    ) -> tuple[RolloutState, NDArray[np.uint8]]:
        """As ``step``, with what ``guidance`` gives."""
        after, unfinished = self.advance(state, self.tell(drawn, known_of(state)))
        return after, self.finish(unfinished)

    def tell(self, drawn: Guidance, known: Sequence[torch.Tensor | None]) -> Told:
        """The part of a step that waits for no frame to be rendered.

        Args:
            drawn: guidance of the frame.
            known: points of its references, as ``known_of`` gives them for a state.
        """
        with self.arithmetic():
            return self.network.tell(*drawn, known)

    def advance(self, state: RolloutState, told: Told) -> tuple[RolloutState, Unfinished]:
        """The part of a step that the next one waits for: the state after it, and the frame."""
        with self.arithmetic():
            after, prediction = self.network.advance(state, told)
        landmarks = told.landmarks if prediction.regions is None else None
        return after, Unfinished(prediction.image, landmarks, state.source)

    def finish(self, frame: Unfinished) -> NDArray[np.uint8]:
        """The part of a step that nothing waits for: the frame as a picture, uint8 H W 3 RGB."""
        with self.arithmetic():
            finished = self.network.finish(*frame)
            image = frame.image if finished is None else finished.picture
            return to_picture(image[0], self.truncates)

    def predict(
        self, state: RolloutState, landmarks: NDArray[np.floating]
    ) -> tuple[RolloutState, Prediction]:
        """As ``step``, but with all that the networks say of the frame."""
        with self.arithmetic():
            return self.network.step(state, *self.guidance(landmarks, state))

    def reference(
        self, image: torch.Tensor, landmarks: NDArray[np.floating], state: RolloutState
    ) -> Reference:
        """A frame that was rendered before, as the frames after it refer to it.

        Args:
            image: 1 3 H W in [-1, 1], as a step predicted it.
            landmarks: the points of the frame.
            state: of the clip.
        """
        with self.arithmetic():
            return self.network.reference("previous", image, *self.guidance(landmarks, state))

    def guidance(self, landmarks: NDArray[np.floating], state: RolloutState) -> Guidance:
        """What the networks are told of a frame.

        Args:
            landmarks: the points of the frame.
            state: of the clip, whose source lends the frame its background.
        """
        return self.guidance_on(landmarks, state.source)

    def guidance_on(self, landmarks: NDArray[np.floating], source: Reference) -> Guidance:
        """As ``guidance``, of a clip with this source."""
        return self._laid_out(self._drawn_on(landmarks, source))

    def _drawn_on(self, landmarks: NDArray[np.floating], source: Reference) -> Guidance:
        """What is drawn of a frame of a clip with this source."""
        return self._drawn(landmarks, None)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Inference without gradients, in bfloat16 where asked for."""
        bfloat16 = self.precision == "bfloat16"
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16)
        with torch.inference_mode(), autocast:
            yield
