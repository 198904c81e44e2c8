"""Configurations of training runs: frozen values, one line of documentation each.

``gfla.training.config_files`` reads them from YAML; the shipped ones are in ``configs/``.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from gfla.config import AnimationConfig, GeneratorConfig, PoseTransferConfig, ViewSynthesisConfig
from gfla.errors import GflaError
from gfla.losses.adversarial import Kind as AdversarialKind
from gfla.losses.correctness import Sampling
from gfla.losses.features import Network, Normalisation
from gfla.losses.perceptual import PERCEPTUAL_LAYERS, STYLE_LAYERS

Stage = Literal["flow", "all", "regions"]
Schedule = Literal["constant", "cosine"]
Temporal = Literal["differences", "clip"]
DataKind = Literal["person", "faces", "face-regions", "dance", "views", "synthetic-views"]

FACE_CHANNELS = 16
"""Structure channels of a face, whose part labels the expression weights need."""
TEMPORAL_FRAMES = 3
"""Neighbouring frames whose differences the temporal critic sees."""
FEWEST_CLIP_FRAMES = 5
"""A critic of clips looks at three frames, and at three of what it found."""


@dataclass(frozen=True)
class DataConfig:
    """What the pictures are; see ``gfla.data.readers``."""

    kind: DataKind = "person"
    """Which reader opens the folder."""
    image_size: tuple[int, int] = (256, 256)
    """Height and width of the pictures."""
    structure_size: tuple[int, int] | None = None
    """Height and width of the structures, which is what the networks see; image_size unless
    given. Smaller ones need image-scale fusion."""
    options: dict[str, Any] = field(default_factory=dict)
    """More for this reader, such as still_share for faces."""
    workers: int = 2
    """Processes that load ahead; 0 loads between steps."""
    prefetch: int = 4
    """Batches that each of them keeps ready."""

    def __post_init__(self) -> None:
        _at_least(self, workers=0, prefetch=1)
        _check(min(self.image_size) >= 1, "data.image_size", self.image_size, "positive")
        # Pictures a whole number of times as large as the structures, the same along both sides.
        small = self.structure_size or self.image_size
        scale = self.image_size[0] // max(1, small[0])
        _check(
            scale >= 1 and self.image_size == (scale * small[0], scale * small[1]),
            "data.structure_size",
            small,
            f"sizes of which image_size {self.image_size} is a whole multiple",
        )

    @property
    def seen_size(self) -> tuple[int, int]:
        """Height and width of what the networks see."""
        return self.structure_size or self.image_size


@dataclass(frozen=True)
class LossWeights:
    """Weights of the loss terms; 0 leaves a term out. The defaults are published."""

    reconstruction: float = 5.0
    """L1 of the picture."""
    adversarial: float = 2.0
    """What each critic says."""
    perceptual: float = 0.5
    """L1 of VGG features."""
    style: float = 500.0
    """L1 of Gram matrices of VGG features."""
    correctness: float = 5.0
    """Sampling correctness of all flows."""
    regularity: float = 0.0025
    """Affine residual of all flows."""
    flow_correctness: float = 20.0
    """Correctness in stage "flow"."""
    flow_regularity: float = 0.01
    """Regularity in stage "flow"."""
    expression: float = 1.0
    """How much more eyes and mouth count in L1 terms; a factor, for faces."""
    rendered: float = 0.0
    """L1 of the renderer's own picture; keeps it worth blending in (image-scale fusion)."""
    warped: float = 0.0
    """L1 of the references warped at the attention layers' sizes."""
    roughness: float = 0.0
    """Second differences of the estimated part of the flows."""
    feature_distance: float = 0.0
    """Distance of features in units of their own strength."""
    detail: float = 0.0
    """The same of the renderer's own picture around eyes and mouth; for faces. Beside the warped
    source, which is sharp, only a sharp picture gains a share of the blend (image-scale fusion)."""
    tone: float = 0.0
    """Squared difference of the mean brightness inside lips and lids; in stage "regions"."""
    spread: float = 0.0
    """Squared difference of how widely that brightness changes, over a batch, from what the source
    alone would give; in stage "regions"."""
    rim: float = 0.0
    """Change of the skin's tone where a drawn region ends; in stage "regions"."""
    flicker: float = 0.0
    """What the error changes from a frame to its neighbour; in stage "regions", frames above 1."""
    anchor: float = 0.0
    """L1 of the estimated part of the flows at the landmarks; for faces with a flow prior, which
    leads from landmark to landmark."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            _check(0 <= value < float("inf"), f"losses.{item.name}", value, "at least 0")


@dataclass(frozen=True)
class FeatureConfig:
    """The pretrained network behind perceptual, style, correctness and feature distance."""

    network: Network = "vgg19"
    """vgg19 as published, or vgg16."""
    path: str | None = None
    """File of weights under torchvision's names; torchvision's own are downloaded unless given."""
    normalise: Normalisation = "none"
    """none as published, or imagenet as the network was trained."""
    perceptual: tuple[str, ...] = PERCEPTUAL_LAYERS
    """Layers of the perceptual term."""
    style: tuple[str, ...] = STYLE_LAYERS
    """Layers of the style term; vgg16 has no relu3_4 and relu4_4."""
    distance: tuple[str, ...] = ("relu1_2", "relu2_2", "relu3_3", "relu4_3")
    """Layers of the feature distance."""
    sampling: Sampling = "gaussian"
    """How correctness samples them along a flow: gaussian as published, or bilinearly."""
    crop: int = 0
    """Side of the random window that perceptual, style and feature distance see; 0 for all."""
    detail: int = 64
    """Side of the windows around eyes and mouth, at the size that the networks see."""

    def __post_init__(self) -> None:
        _at_least(self, crop=0, detail=16)


@dataclass(frozen=True)
class CriticsConfig:
    """The critics; without an adversarial loss there are none."""

    kind: AdversarialKind = "least-squares"
    """Of the game."""
    image: tuple[int, ...] = (32, 64, 128, 128)
    """Widths of the critic of pictures; three for Market-1501. In stage "regions" of each critic:
    one of mouths, one of eyes."""
    temporal: tuple[int, ...] = ()
    """Widths of the critic of neighbouring frames; none for pairs."""
    temporal_kind: Temporal = "differences"
    """What that critic sees: differences of neighbouring frames (faces as published), or the frames
    themselves, along time as well (dance as published)."""
    temporal_frames: int = TEMPORAL_FRAMES
    """Neighbouring frames that it sees; 3 of faces and 6 of persons as published."""
    first: bool = False
    """Whether critics step before the generator, as published: it is then judged by the new ones,
    in training mode and by frames of a draw of its own. Otherwise both sides' gradients are of the
    same weights and the same frames."""
    start: int = 0
    """Step at which they join in."""
    spectral_norm: bool = True
    """Whether their convolutions are spectrally normalised."""
    gradient_penalty: float = 0.0
    """Weight of R1, half the squared gradient at real pictures; in place of spectral norm."""

    def __post_init__(self) -> None:
        _at_least(self, start=0)
        penalty = self.gradient_penalty
        _check(0 <= penalty < float("inf"), "critics.gradient_penalty", penalty, "at least 0")
        alone = penalty == 0 or not self.spectral_norm
        _check(alone, "critics.gradient_penalty", penalty, "0 with critics.spectral_norm")
        positive = min(self.image, default=0) > 0
        _check(positive, "critics.image", self.image, "one positive width or more")
        clip, frames, widths = self.temporal_kind == "clip", self.temporal_frames, self.temporal
        fewest = FEWEST_CLIP_FRAMES if clip else 2
        allowed = f"at least {fewest} for {self.temporal_kind}"
        _check(frames >= fewest, "critics.temporal_frames", frames, allowed)
        positive = min(widths, default=1) > 0 and not (clip and len(widths) < 2)
        _check(positive, "critics.temporal", widths, "positive widths, two or more for clip")


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam for the generator, and one for the critics."""

    learning_rate: float = 1e-4
    """Peak of the generator's."""
    critic_ratio: float = 0.1
    """The critics' learning rate in units of the generator's."""
    betas: tuple[float, float] = (0.0, 0.999)
    """Decay of Adam's means."""
    warmup_steps: int = 0
    """Steps of a linear rise at the start."""
    schedule: Schedule = "constant"
    """What follows the rise: nothing, or half a cosine over the whole run."""
    floor: float = 0.05
    """Where the cosine ends, in units of the peak."""
    gradient_clip: float = 0.0
    """Largest norm of the generator's gradient; 0 for any."""

    def __post_init__(self) -> None:
        _at_least(self, warmup_steps=0)
        _check(self.learning_rate > 0, "optimizer.learning_rate", self.learning_rate, "above 0")
        _check(self.critic_ratio > 0, "optimizer.critic_ratio", self.critic_ratio, "above 0")
        _check(self.gradient_clip >= 0, "optimizer.gradient_clip", self.gradient_clip, "at least 0")
        _check(0 <= self.floor <= 1, "optimizer.floor", self.floor, "0 to 1")
        _check(all(0 <= b < 1 for b in self.betas), "optimizer.betas", self.betas, "0 to below 1")


@dataclass(frozen=True)
class RecordConfig:
    """What a run writes, and how often; changes no result."""

    log_every: int = 20
    """Steps between lines of metrics, which hold means."""
    sheet_every: int = 500
    """Steps between sample sheets; 0 for none but the last."""
    sheet_rows: int = 8
    """Samples on a sheet."""
    save_every: int = 1000
    """Steps between checkpoints; 0 to go by minutes alone."""
    save_minutes: float = 10.0
    """Minutes between checkpoints."""

    def __post_init__(self) -> None:
        _at_least(self, log_every=1, sheet_every=0, sheet_rows=1, save_every=0)
        _check(self.save_minutes > 0, "record.save_minutes", self.save_minutes, "above 0")


@dataclass(frozen=True)
class TrainingConfig:
    """One run."""

    name: str = "unnamed"
    """What it is called: the shipped configuration's name, or the file's."""
    model: GeneratorConfig = field(default_factory=PoseTransferConfig)
    """The network, with its kind."""
    data: DataConfig = field(default_factory=DataConfig)
    """The pictures."""
    stage: Stage = "all"
    """flow trains the flow estimator alone (stage 1); all trains everything; regions trains the
    region heads alone, on crops."""
    start_from: str | None = None
    """Weights to begin with, such as average.safetensors of stage 1; random ones unless given."""
    losses: LossWeights = field(default_factory=LossWeights)
    """Weights of the loss terms."""
    features: FeatureConfig = field(default_factory=FeatureConfig)
    """The feature network."""
    critics: CriticsConfig = field(default_factory=CriticsConfig)
    """The critics."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How weights move."""
    batch: int = 8
    """Pairs or clips that one device sees at once."""
    accumulate: int = 1
    """Batches of a step, whose gradients are averaged."""
    frames: int = 1
    """Frames of a clip that are rendered one after another."""
    block: int = 1
    """Frames that gradients flow through: a step each, of the frames' blocks in turn."""
    block_sum: bool = False
    """Whether the terms of a block's frames are added up, as published, or averaged. What critics
    say counts once for a block either way, so with an average losses.adversarial is worth ``block``
    times as much."""
    true_previous: bool = False
    """Whether the flow to the frame before is judged (correctness) against the true frame, as
    published for persons, or against the one that was rendered, as published for faces."""
    steps: int = 200_000
    """Length of the run; a cosine follows it."""
    ema: float = 0.999
    """Decay of the averaged weights, which are what a run is for; 0 for the latest ones."""
    bf16: bool = False
    """Autocast the networks to bfloat16."""
    initial_gain: float = 0.02
    """Gain of the orthogonal initialisation."""
    seed: int = 1
    """Of initialisation, data and windows."""
    record: RecordConfig = field(default_factory=RecordConfig)
    """What is written, and how often."""

    def __post_init__(self) -> None:
        _at_least(self, batch=1, accumulate=1, frames=1, block=1, steps=1, seed=0)
        _check(0 <= self.ema < 1, "ema", self.ema, "0 to below 1")
        _check(self.frames % self.block == 0, "block", self.block, f"divisors of {self.frames}")
        self._check_model()
        self._check_losses()

    @property
    def animates(self) -> bool:
        """Whether it renders clips rather than pairs."""
        return isinstance(self.model, AnimationConfig)

    @property
    def has_critics(self) -> bool:
        """Whether critics take part at some time."""
        return self.stage != "flow" and self.losses.adversarial > 0

    @property
    def blocks(self) -> int:
        """Steps that one batch of clips is good for."""
        return self.frames // self.block

    def to_dict(self) -> dict[str, Any]:
        """The configuration as YAML-ready values."""
        values = _plain(dataclasses.asdict(self))
        values["model"] = {"kind": self.model.kind} | values["model"]
        return dict(values)

    def _check_model(self) -> None:
        # Data that the model can be trained on.
        kinds: tuple[str, ...] = ("faces", "dance") if self.animates else ("person",)
        heads = isinstance(self.model, AnimationConfig) and self.model.has_heads
        if self.stage == "regions":
            _check(self.blocks == 1, "block", self.block, f"{self.frames}, all frames, for regions")
            _check(heads, "stage", self.stage, "flow or all without mouth_head and eye_head")
            kinds = ("face-regions",)
        if isinstance(self.model, ViewSynthesisConfig):
            kinds = ("views", "synthetic-views")
        _check(self.data.kind in kinds, "data.kind", self.data.kind, " or ".join(kinds))
        _check(self.animates or self.frames == 1, "frames", self.frames, "1 for pairs")
        # Sizes that the model can see.
        sides, multiple = self.data.seen_size, self.model.multiple
        _check(
            not (sides[0] % multiple or sides[1] % multiple),
            "data's sizes",
            sides,
            f"multiples of {multiple} for this model",
        )
        fused = isinstance(self.model, AnimationConfig) and self.model.image_fusion
        _check(
            fused or sides == self.data.image_size,
            "data.structure_size",
            sides,
            f"{self.data.image_size}, without image-scale fusion",
        )

    def _check_losses(self) -> None:
        # Terms that need something: flows, a face's labels, a landmark prior, drawn regions.
        samples_along_flows = not (
            isinstance(self.model, PoseTransferConfig) and self.model.sampling in ("none", "global")
        )
        _check(samples_along_flows or self.stage == "all", "stage", self.stage, "all without flows")
        faces = self.animates and self.model.structure_channels == FACE_CHANNELS
        expression = self.losses.expression
        _check(faces or expression == 1, "losses.expression", expression, "1 but for faces")
        anchored = faces and isinstance(self.model, AnimationConfig) and self.model.flow_prior
        regions = self.stage == "regions"
        for name, fine, where in (
            ("detail", faces, "faces"),
            ("tone", regions, "regions"),
            ("spread", regions, "regions"),
            ("rim", regions, "regions"),
            ("flicker", regions, "regions"),
            ("anchor", anchored, "faces with model.flow_prior"),
        ):
            value = getattr(self.losses, name)
            _check(fine or value == 0, f"losses.{name}", value, f"0 but for {where}")
        # The temporal critic sees neighbouring frames of one block, which gradients flow through.
        temporal = self.critics.temporal
        _check(not (regions and temporal), "critics.temporal", temporal, "none for regions")
        if temporal:
            fewest = self.critics.temporal_frames
            _check(
                self.block >= fewest, "block", self.block, f"{fewest} or more for critics.temporal"
            )
        # Critics that step first step within the generator's pass, of which there is one.
        first = self.critics.first and self.has_critics
        _check(
            not first or self.accumulate == 1, "accumulate", self.accumulate, "1 with critics.first"
        )


def _plain(value: Any) -> Any:
    """Tuples as lists, so that YAML stays safe to load."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _at_least(config: object, **least: int) -> None:
    for name, value in least.items():
        _check(getattr(config, name) >= value, name, getattr(config, name), f"at least {value}")


def _check(fine: bool, name: str, got: object, allowed: str) -> None:
    if not fine:
        raise GflaError("invalid_config", f"{name} is {got!r}; allowed: {allowed}")
