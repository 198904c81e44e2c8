"""What a job is, as plain data that travels as JSON: its specification, and all its options."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, cast, get_args

from animator.errors import AnimatorError
from animator.formats import check_coding, format_of, parse_rate
from animator.moving_faces import Face, MovingFaces
from animator.options import (
    FILE,
    GROUPS,
    MACHINE,
    QUEUE,
    Extra,
    Faces,
    Kind,
    OutputMode,
    Priority,
    Region,
    RowOptions,
    SharedOptions,
)
from animator.values import (
    DEVICE,
    Location,
    Option,
    check_choice,
    check_key,
    check_owner,
    check_path,
    check_webhook,
    is_weights_name,
    load_fields,
    load_object,
    offered,
    option,
    options_of,
    parse_time,
    refuse,
    shown_url,
)

_FILES = ("source", "driving", "output")
_LATER = (
    *("source_face", "driving_face", "strength", "head", "expression", "regions", "blink"),
    *("ending", "source_motion", "margin"),
    *("fps", "audio", "driving_fps", "codec", "crf", "preset", "pixel_format"),
    *("source_pose", "window"),
)
"""Options that came later than others; see `JobSpec.chosen`."""
FORMER: Mapping[str, Any] = {"size": 256, "margin": 1.75, "source_motion": "still"}
"""What options were that have another default now: what a record means that lacks them."""
_NO_REGIONS = f"one or more of {', '.join(get_args(Region))}, parted by commas"
DEFAULT_RATE = Fraction(25)
"""Pictures a second of a folder that nobody says more of."""


@dataclass(frozen=True)
class JobSpec(SharedOptions, RowOptions):
    """What to animate, with what, to where and how. Every value is checked when it is made.

    Raises:
        AnimatorError: `invalid_option`, saying what was got and what is allowed.
    """

    source: Location = field(
        metadata=offered(
            "The portrait: a picture, a video all of whose frames are animated, or a folder whose "
            "first picture is taken. With weights for persons, the picture of a person.",
            shown="SOURCE",
        )
    )
    """A text or a path is made a `Location`; so are the next two."""
    driving: Location = field(
        metadata=offered(
            "The video, or folder of pictures, whose motion the portrait gets; for a person also a "
            "picture, or joints: JSON, CSV or a folder of JSON files.",
            shown="DRIVING",
        )
    )
    output: Location = field(
        metadata=offered(
            "Where to write the result; its ending says as what: .mp4 .mov .mkv .webm .gif .webp "
            ".apng, or a folder/ or name-%05d.png for pictures.",
            shown="FILE",
        )
    )
    _: KW_ONLY
    device: str = option("auto", "auto, cpu, cuda or cuda:N.", MACHINE, shown="DEVICE")
    """Where the networks run."""
    measure: bool = False
    """Whether the quality of the result is measured; see `animator.animation.faces.quality`."""
    extras: tuple[Extra, ...] = ()
    """What is written beside the video, under its name with other endings; see
    `animator.animation.extras`."""
    keep_result: bool = False
    """Whether the result is also written beside the video, after it, as `NAME.result.json`."""

    def __post_init__(self) -> None:
        """Check every field."""
        for name in _FILES:
            object.__setattr__(self, name, Location(getattr(self, name), name))
        if not (isinstance(self.weights, str) and is_weights_name(self.weights)):
            check_path("weights", self.weights, "default, a name of weights, or an absolute path")
        for name, item in _SPEC_OPTIONS.items():
            item.check(getattr(self, name))
        for name in ("source_face", "driving_face"):
            face = getattr(self, name)
            usual = face is None or face == "largest"
            if not usual and not (type(face) is int and face >= 1):
                raise refuse(name, face, "largest, or the number of a face from 1")
        self._check_faces()
        if not isinstance(self.device, str) or not DEVICE.fullmatch(self.device):
            raise refuse("device", self.device, "auto, cpu, cuda, cuda:N")
        for name in ("measure", "keep_result"):
            if not isinstance(getattr(self, name), bool):
                raise refuse(name, getattr(self, name), "true or false")
        if not isinstance(self.extras, tuple) or len(set(self.extras)) != len(self.extras):
            raise refuse("extras", self.extras, "a list of different names")
        for extra in self.extras:
            check_choice("extras", extra, Extra)
        if not isinstance(self.regions, str) or not self.moving:
            raise refuse("regions", self.regions, _NO_REGIONS)
        size = _SPEC_OPTIONS["size"]
        if self.size != "auto" and not size.is_number(self.size):
            what = f"auto, or an even number from {size.minimum:g} to {size.maximum:g}"
            raise refuse("size", self.size, what)
        self._check_times()
        self._check_file()
        if self.source_pose != "auto":
            object.__setattr__(self, "source_pose", Location(self.source_pose, "source_pose"))

    def _check_faces(self) -> None:
        faces = MovingFaces.parse(self.face).located(lambda file: Location(file, "face"))
        object.__setattr__(self, "face", faces.text)
        if not faces.several:
            return
        if self.source_face is not None:
            what = "nothing where --face says all or N=FILE"
            raise refuse("source_face", self.source_face, what)
        if self.output_mode == "side-by-side":
            what = "crop or paste-back where --face says all or N=FILE"
            raise refuse("output_mode", self.output_mode, what)
        first = faces.first_file
        if first is not None and self.driving.plain not in _plain_files(faces):
            message = (
                f"The driving video {shown_url(self.driving)!r} would move no face: each face of "
                "--face has a file of its own. Leave it out, or add all."
            )
            raise AnimatorError("invalid_option", message)

    def _check_times(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise refuse(name, value, "a time such as 12.5 or 1:02.5, as text")
        start, end = self.start_seconds, self.end_seconds
        if end is not None and end <= (start or 0):
            raise refuse("end", self.end, f"a time after the start ({self.start or 0})")

    def _check_file(self) -> None:
        check_coding(self.output, self.codec, self.crf, self.preset, self.pixel_format)
        parse_rate("fps", self.fps)
        parse_rate("driving_fps", self.driving_fps, "auto")
        if self.audio not in ("driving", "none"):
            if self.audio != "source":
                object.__setattr__(self, "audio", Location(self.audio, "audio"))
            kind = format_of(self.output)
            if kind is not None and kind.kind != "video":
                what = f"driving or none, as {kind.name.upper()} has no sound"
                raise refuse("audio", self.audio, what)

    @property
    def rate(self) -> Fraction | None:
        """Frames a second that the result shall have; None for the driving video's own times."""
        return parse_rate("fps", self.fps)

    @property
    def driving_rate(self) -> Fraction:
        """Pictures a second of a driving video that is a folder or a pattern."""
        own = parse_rate("driving_fps", self.driving_fps, "auto")
        return own or self.rate or DEFAULT_RATE

    @property
    def audio_file(self) -> Location | None:
        """The file whose sound is wanted instead of the driving video's, if it is one."""
        return self.audio if isinstance(self.audio, Location) else None

    @property
    def pose_file(self) -> Location | None:
        """The file with the joints of the person in the source, if there is one."""
        return self.source_pose if isinstance(self.source_pose, Location) else None

    @property
    def faces(self) -> MovingFaces:
        """Which faces of the portrait move, and what moves each."""
        return MovingFaces.parse(self.face)

    @property
    def shows(self) -> OutputMode:
        """What the result shows: that of `output_mode`, but with several faces all of them."""
        return "paste-back" if self.faces.several else self.output_mode

    @property
    def drivings(self) -> dict[str, Location]:
        """The driving files, each once, by name: "driving", "driving 2", and so on."""
        different: dict[str, Location] = {}
        for file in (self.driving, *(Location(file) for _, file in self.faces.files)):
            different.setdefault(file.plain, file)
        return {
            "driving" if number == 1 else f"driving {number}": file
            for number, file in enumerate(different.values(), start=1)
        }

    @property
    def inputs(self) -> dict[str, Location]:
        """All files that are read, by name: "source", the driving ones, "audio" and "pose"."""
        others = {"audio": self.audio_file, "pose": self.pose_file}
        given = {name: file for name, file in others.items() if file is not None}
        return {"source": self.source, **self.drivings, **given}

    def driven_by(self, number: int | None) -> str:
        """The name of the driving file that moves a face; None is the only one."""
        file = dict(self.faces.files).get(number or 0)
        names = {place.plain: name for name, place in self.drivings.items()}
        return "driving" if file is None else names[Location(file).plain]

    def face_by_name(self, names: Mapping[str, str] | None = None) -> Faces:
        """The choice of faces without the places of files.

        Args:
            names: what stands for each driving file, by its name; if not given, the name itself.
        """
        named = {
            place.plain: name if names is None else names[name]
            for name, place in self.drivings.items()
        }
        return self.faces.located(lambda file: named[Location(file).plain]).text

    def of_driving(self, name: str) -> JobSpec:
        """The same job with one of its driving files alone, as that file is looked at."""
        if not self.faces.several:
            return self
        return replace(self, driving=self.drivings[name], face="largest")

    @property
    def moving(self) -> frozenset[Region]:
        """The regions that move; none if their names are not as they should be."""
        names = [name.strip() for name in self.regions.lower().split(",")]
        known = get_args(Region)
        right = all(name in known for name in names)
        return frozenset(cast(list[Region], names) if right else ())

    @property
    def start_seconds(self) -> Fraction | None:
        """The start, exactly, in seconds from the driving video's first frame."""
        return None if self.start is None else parse_time(self.start)

    @property
    def end_seconds(self) -> Fraction | None:
        """The end, exactly, in seconds from the driving video's first frame."""
        return None if self.end is None else parse_time(self.end)

    def face_of(self, name: Literal["source", "driving"]) -> Face:
        """Which face of one of the two files is meant."""
        own = self.source_face if name == "source" else self.driving_face
        if own is not None:
            return own
        # Of several the last: where it is, the others are.
        faces = self.faces
        named = [number for number, _ in faces.files] if name == "source" else []
        if faces.one is not None:
            return faces.one
        return max(named) if named else "largest"

    def chosen(self) -> dict[str, Any]:
        """All fields by name, but those that older versions had not if they are as they were then.

        What is made of it, such as keys and plans, stays what it was.
        """
        values = asdict(self)
        for item in fields(self):
            before = FORMER.get(item.name, item.default)
            if item.name in _LATER and values[item.name] == before:
                del values[item.name]
        return values

    @property
    def kind(self) -> Kind:
        """Which workers can run it: those with a GPU, those without, or any."""
        if self.device == "auto":
            return "any"
        return "cpu" if self.device == "cpu" else "cuda"

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name, the files first."""
        values = asdict(self)
        return {**{name: values[name] for name in _FILES}, **values}

    def to_json(self) -> str:
        """The specification as one line of ASCII JSON."""
        return json.dumps(self.as_dict())

    @classmethod
    def from_json(cls, text: str | bytes) -> JobSpec:
        """The specification from JSON; unknown and missing names are refused.

        Options that it lacks are as they were before there were such; see `FORMER`.

        Raises:
            AnimatorError: `invalid_option`.
        """
        values = load_object(text, "job specification")
        known = {item.name for item in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise AnimatorError(
                "invalid_option",
                f"Unknown name in the job specification: {', '.join(unknown)}; "
                f"known are {', '.join(sorted(known))}.",
            )
        if missing := [name for name in _FILES if name not in values]:
            raise AnimatorError(
                "invalid_option", f"Missing in the job specification: {', '.join(missing)}."
            )
        if isinstance(values.get("extras"), list):
            values["extras"] = tuple(values["extras"])
        return cls(**{**FORMER, **values})


@dataclass(frozen=True)
class JobOptions:
    """How a job is treated by the farm; what it makes is the specification's.

    Raises:
        AnimatorError: `invalid_option`.
    """

    priority: Priority = option("normal", "Jobs of a higher priority are begun first.", QUEUE)
    """A job of a higher one gets more of a shared device, too."""
    key: str | None = option(
        None,
        "Submit once: a job that has this key is shown instead. auto makes a key of the "
        "content of both files, the options and the weights.",
        QUEUE,
        shown="KEY",
    )
    """A name of the submitter's choice."""
    webhook: str | None = option(
        None,
        "Tell this address when the job has ended; the workers must allow its host.",
        QUEUE,
        shown="URL",
    )

    overwrite: bool = True
    """Whether the output may replace a file that is there in the end. `Client.submit` says so;
    records of older versions, which do not, have always replaced it."""
    owner: str = ""
    """Whose job it is where several submit through one server; empty for the command. Up to 64
    letters, digits, dots, hyphens and underscores."""

    def __post_init__(self) -> None:
        """Check every field."""
        OPTIONS["priority"].check(self.priority)
        if not isinstance(self.overwrite, bool):
            raise refuse("overwrite", self.overwrite, "true or false")
        if self.key is not None:
            check_key(self.key)
        if self.webhook is not None:
            check_webhook(self.webhook)
        check_owner(self.owner)

    def to_json(self) -> str:
        """The options as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> JobOptions:
        """The options from JSON."""
        return cls(**load_fields(cls, text, "options of a job"))


def _plain_files(faces: MovingFaces) -> set[str]:
    return {Location(file).plain for _, file in faces.files}


_SPEC_OPTIONS = options_of(JobSpec)
_ALL = {**_SPEC_OPTIONS, **options_of(JobOptions)}
OPTIONS: dict[str, Option] = {
    item.name: item
    for item in sorted(
        _ALL.values(), key=lambda it: (it.kind != "location", GROUPS.index(it.group), it.order)
    )
}
"""All that a person may choose about a job, by name, in the order in which it is shown.

Options of commands, columns of manifests and documents are made of it.
"""


FILE_OPTIONS = tuple(name for name, item in OPTIONS.items() if item.group == FILE)
"""Options of how the result is timed and coded, and of what is heard."""


ENDINGS: dict[Extra, str] = {
    "landmarks": ".landmarks.npz",
    "structures": ".structures.npz",
    "flows": ".flows.npz",
    "frames": ".frames.tar",
}
"""What takes the place of the video's own ending."""


def extra_files(output: str | Path, extras: Iterable[Extra]) -> dict[Extra, Path]:
    """The files beside a video: `out.mp4` has its landmarks in `out.landmarks.npz`."""
    video = Path(output)
    return {extra: video.with_name(video.stem + ENDINGS[extra]) for extra in extras}
