"""Model configurations: plain values that say what ``gfla.build`` puts together."""

from __future__ import annotations

import dataclasses
import reprlib
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

from gfla.errors import GflaError

MAX_PREVIOUS_FRAMES = 4
MAX_LAYERS = 10
"""Halvings of the picture; a file that claims thousands would take minutes to look at."""
MAX_HEAD_LEVELS = 4
"""Halvings of a region's crop, whose sides are multiples of 8: 2 by folding, the rest by Downs."""
Sampling = Literal["local", "bilinear", "global", "none"]
FlowEstimators = Literal["joint", "separate"]


@dataclass(frozen=True)
class GeneratorConfig:
    """What all generators have in common; the widths are the published ones.

    "Layer k" is 1/2^k of the size that the networks see.
    """

    kind: ClassVar[str]
    """Of the model, as checkpoints name it."""

    structure_channels: int
    """Channels of the structure guidance."""
    encoder_widths: tuple[int, ...] = (64, 128, 256)
    """Output channels of the Downs of the source and target branches, layer 1 first."""
    flow_widths: tuple[int, ...] = (32, 64, 128, 256, 256)
    """Output channels of the flow estimator's Downs, layer 1 first."""
    attention: tuple[tuple[int, int], ...] = ((3, 3), (2, 5))
    """(layer, kernel size) of every attention block, deepest layer first."""
    attention_hidden: int = 128
    """Hidden channels of the kernel predictor M."""

    def __post_init__(self) -> None:
        if self.structure_channels < 1:
            raise _invalid("structure_channels", self.structure_channels, "at least 1")
        # The estimator's Downs reach at least as deep as the encoder's, whose layers it serves.
        if len(self.flow_widths) > MAX_LAYERS:
            raise _invalid("the number of flow_widths", len(self.flow_widths), f"1 to {MAX_LAYERS}")
        if len(self.flow_widths) < len(self.encoder_widths):
            raise _invalid("flow_widths", self.flow_widths, "at least as many as encoder_widths")
        if min(*self.encoder_widths, *self.flow_widths, self.attention_hidden) < 1:
            raise _invalid("widths", (self.encoder_widths, self.flow_widths), "positive")
        # Attention: layers that the encoder has, an odd neighbourhood around each place.
        layers = [layer for layer, _ in self.attention]
        if not layers or layers != sorted(set(layers), reverse=True):
            raise _invalid("attention", self.attention, "distinct layers, deepest first")
        if layers[0] > len(self.encoder_widths) or layers[-1] < 1:
            raise _invalid("attention", self.attention, f"layers 1 to {len(self.encoder_widths)}")
        if any(kernel % 2 == 0 or kernel < 1 for _, kernel in self.attention):
            raise _invalid("attention", self.attention, "odd kernel sizes")

    @property
    def multiple(self) -> int:
        """Height and width of what the networks see must be multiples of this."""
        return 2 ** len(self.flow_widths)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what ``to_dict`` wrote.

        Raises:
            GflaError: ``invalid_config`` on an unknown field or a value that is not allowed.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise GflaError(
                "invalid_config", f"unknown fields {unknown}; known are {sorted(known)}"
            )
        try:
            return cls(**{name: _tuples(value) for name, value in values.items()})
        except TypeError as error:
            raise GflaError("invalid_config", f"fields of the wrong type: {error}") from error


@dataclass(frozen=True)
class PoseTransferConfig(GeneratorConfig):
    """Pose-guided person image generation (section 3); the defaults are DeepFashion's."""

    kind: ClassVar[str] = "pose-transfer"

    structure_channels: int = 18
    """One heat map a joint."""
    sampling: Sampling = "local"
    """How source features reach the target (table 2): local attention along a flow (the full
    model), bilinear sampling along a flow, global attention, or none, where the renderer sees
    source and poses joined by channel (the baseline)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sampling not in get_args(Sampling):
            raise _invalid("sampling", self.sampling, ", ".join(get_args(Sampling)))


@dataclass(frozen=True)
class AnimationConfig(GeneratorConfig):
    """Image animation with several references (section 5); the defaults are the face model's."""

    kind: ClassVar[str] = "animation"

    structure_channels: int = 16
    """Of the structure guidance: 16 of a face; 20 of a person (17 joints, a skeleton picture)."""
    previous_frames: int = 1
    """How many generated frames serve as references, 1 to 4; 1 is published."""
    flow_estimators: FlowEstimators = "joint"
    """One estimator that sees all references at once (faces), or one for each kind of reference,
    previous frame and source, that sees one at a time (persons)."""
    image_fusion: bool = False
    """Blend the warped reference pictures with the rendered one at image scale."""
    fusion_hidden: int = 0
    """Channels of a small network at full size that corrects the blend, seeing the warped pictures
    and both structures; 0 for none. What the renderer cannot place through its bottleneck, such as
    the inside of a mouth, is placed here."""
    fusion_detail: int = 0
    """Keep, where the rendered picture is blended in, the detail that the source has beyond so
    many times the size that the networks see, such as that of the training; 0 keeps none."""
    flow_prior: bool = False
    """Add a landmark thin-plate spline to the estimated flow; steps then need landmarks."""
    prior_ridge: float = 4e-4
    """Ridge of that spline, landmarks in units of the picture. Below 3e-4 lips that close in the
    target but are open in the reference fold into swirls; above 1e-3 lids and lips lag behind."""
    prior_reach: float = 0.0
    """Radii of the head up to which the spline leads; further away it fades, so that shoulders and
    background stay where the head alone moves. 0 leads everywhere."""
    mouth_head: tuple[int, ...] = ()
    """Widths, at 1/2, 1/4, ... of its crop, of a network that draws the insides of mouths into the
    blend; none for no such network. Steps then need landmarks."""
    eye_head: tuple[int, ...] = ()
    """Likewise for both eyes."""
    finished_reference: bool = False
    """Whether the frames after a frame refer to it with these regions drawn, or without."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.previous_frames <= MAX_PREVIOUS_FRAMES:
            raise _invalid("previous_frames", self.previous_frames, f"1 to {MAX_PREVIOUS_FRAMES}")
        if self.flow_estimators not in get_args(FlowEstimators):
            allowed = ", ".join(get_args(FlowEstimators))
            raise _invalid("flow_estimators", self.flow_estimators, allowed)
        if self.fusion_hidden < 0 or (self.fusion_hidden and not self.image_fusion):
            allowed = "0, or channels where there is image_fusion"
            raise _invalid("fusion_hidden", self.fusion_hidden, allowed)
        if self.fusion_detail < 0 or (self.fusion_detail and not self.image_fusion):
            allowed = "0, or a factor where there is image_fusion"
            raise _invalid("fusion_detail", self.fusion_detail, allowed)
        if self.prior_ridge <= 0:
            raise _invalid("prior_ridge", self.prior_ridge, "above 0")
        if self.prior_reach < 0 or (self.prior_reach and not self.flow_prior):
            raise _invalid("prior_reach", self.prior_reach, "0, or above it with flow_prior")
        for name in ("mouth_head", "eye_head"):
            self._check_head(name, getattr(self, name))

    def _check_head(self, name: str, widths: tuple[int, ...]) -> None:
        if not widths:
            return
        if not self.image_fusion:
            raise _invalid(name, widths, "none without image_fusion")
        if not 2 <= len(widths) <= MAX_HEAD_LEVELS or min(widths) < 1:
            raise _invalid(name, widths, f"2 to {MAX_HEAD_LEVELS} positive widths")

    @property
    def has_heads(self) -> bool:
        """Whether regions of the face are drawn into the blend."""
        return bool(self.mouth_head or self.eye_head)

    @property
    def needs_landmarks(self) -> bool:
        """Whether a clip needs the landmarks of its source and of every frame."""
        return self.flow_prior or self.has_heads

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the references as published: newest previous frame first, source last."""
        older = tuple(f"previous_{n}" for n in range(2, self.previous_frames + 1))
        return ("previous", *older, "reference")


@dataclass(frozen=True)
class ViewSynthesisConfig(GeneratorConfig):
    """Novel views of an object (section 5, "View Synthesis")."""

    kind: ClassVar[str] = "view-synthesis"

    structure_channels: int = 21
    """Length of a view vector: 18 azimuths and 3 elevations, one-hot."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.encoder_widths) != len(self.flow_widths) - 2:
            allowed = (
                "two fewer than flow_widths: the target starts two layers above the tiled view"
            )
            raise _invalid("encoder_widths", self.encoder_widths, allowed)


PUBLISHED: dict[str, GeneratorConfig] = {
    "person-fashion": PoseTransferConfig(),
    "person-market": PoseTransferConfig(attention=((2, 3),)),
    "face": AnimationConfig(),
    "dance": AnimationConfig(structure_channels=20, flow_estimators="separate"),
    "view": ViewSynthesisConfig(),
}
"""The five published models."""

ABLATIONS: dict[str, PoseTransferConfig] = {
    "baseline": PoseTransferConfig(sampling="none"),
    "global-attention": PoseTransferConfig(sampling="global"),
    "bilinear": PoseTransferConfig(sampling="bilinear"),
    "full": PoseTransferConfig(),
}
"""The models of the ablation study (section 4.3, table 2)."""


@dataclass(frozen=True)
class CriticConfig:
    """A residual discriminator (appendix D); the defaults are the published image critic's."""

    inputs: int = 3
    """Channels: 3 for pictures, and more for what is known of them; 6 for the two differences of
    three neighbouring frames."""
    widths: tuple[int, ...] = (32, 64, 128, 128)
    """Output channels of its Downs; the first three for Market-1501."""
    spectral_norm: bool = True
    """Whether its convolutions are spectrally normalised."""

    def __post_init__(self) -> None:
        if not self.widths or min(self.inputs, *self.widths) < 1:
            raise _invalid("inputs and widths", (self.inputs, self.widths), "positive")


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _invalid(name: str, got: object, allowed: str) -> GflaError:
    return GflaError("invalid_config", f"{name} is {reprlib.repr(got)}; allowed: {allowed}")
