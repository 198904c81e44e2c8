"""Plans and rollout states in an attempt's folder, by which the next attempt goes on.

A file is of use only as a whole and only for the same job on the same inputs; whatever is damaged,
incomplete or of something else counts as not there, and its work is done again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray

from animator import __version__
from animator.animation.faces.plan import face_size
from animator.animation.inputs import JobInputs
from animator.animation.kept_figures import (
    face_of,
    figure_arrays,
    figure_numbers,
    figures_of,
    parts_of,
)
from animator.animation.plan import Figure, JobPlan
from animator.animation.result_time import ResultTime, result_time
from animator.animation.rollout.generator import RolloutGenerator
from animator.files.arrays import DAMAGED, from_text, pack, to_text, unpack
from animator.formats import check_format, format_of
from animator.media.coding import DEFAULT_CODING, VideoCoding, choose_coding
from animator.media.decode import MediaLimits, content_hash, read_picture
from animator.media.stills import Still
from animator.settings import Settings
from animator.spec import JobSpec
from animator.workspace.attempt import Workspace
from gfla.models.rollout import Reference, RolloutState

_PLAN = "plan.npz"
_NOT_OF_THE_FRAMES = (
    *("source", "driving", "output", "detector", "device", "precision", "weights"),
    *("measure", "extras", "keep_result", "audio"),
    *("codec", "crf", "preset", "pixel_format"),
    "source_pose",
)
_KEPT = 2  # states; where the last segment turns out to be damaged, the one before is of use
_TYPES = {str(dtype): dtype for dtype in (torch.float32, torch.bfloat16, torch.float16)}


def identity(
    spec: JobSpec, generator: RolloutGenerator, hashes: Mapping[str, str], segment_frames: int
) -> str:
    """All on which the frames of a job depend, as text: equal texts, equal frames.

    The detector is not part of it: what it found is kept, whichever it was. What is made of the
    finished frames is not part of it, either.
    """
    options = spec.chosen()
    for name in _NOT_OF_THE_FRAMES:
        options.pop(name, None)
    options["face"] = spec.face_by_name()  # wherever its files lie
    about = {
        "options": options,
        "hashes": {**hashes, "weights": generator.sha256},
        "arithmetic": [generator.device.type, generator.precision, torch.__version__],
        "encoder": [av.__version__, segment_frames],
        "version": __version__,
    }
    coding = segment_coding(spec)
    if coding != DEFAULT_CODING:
        about["coding"] = [coding.encoder, coding.pixel_format, sorted(coding.options.items())]
    kind = format_of(spec.output)
    if kind is not None and kind.name == "gif":
        about["times"] = "of a GIF"
    if spec.missing_face == "skip":
        about["times"] = "closed up"  # older versions left holes where frames are left out
    return json.dumps(about, sort_keys=True)


def segment_coding(spec: JobSpec) -> VideoCoding:
    """How a job's segments are coded.

    Raises:
        AnimatorError: `encoder_unavailable`.
    """
    kind = check_format(spec.output)
    return choose_coding(kind, spec.codec, spec.crf, spec.preset, spec.pixel_format)


# -- the plan ----------------------------------------------------------------------------------


def save_plan(workspace: Workspace, spec: JobSpec, settings: Settings, plan: JobPlan) -> None:
    """Keep a plan; errors as in `animator.workspace.attempt.Workspace.write`."""
    time = plan.time
    numbers = {
        "about": identity(spec, plan.generator, plan.hashes, settings.segment_frames),
        "faces": [figure_numbers(face) for face in plan.faces],
        "lead": plan.lead,
        "size": plan.size,
        "hashes": plan.hashes,
        "rate": _text(plan.rate),
        "time": {
            "rate": _text(time.rate),
            "average": _text(time.average),
            "base": str(time.time_base),
            "audio": [_text(moment) for moment in time.audio],
            "holes": [[str(moment) for moment in hole] for hole in time.holes],
        },
    }
    arrays: dict[str, NDArray[Any]] = {
        "numbers": from_text(json.dumps(numbers)),
        "pts": np.array(time.pts, np.int64),
    }
    # The portrait itself is read again, as its hash is part of what the plan is about.
    for number, face in enumerate(plan.faces):
        parts = figure_arrays(face)
        arrays.update({f"{number} {name}": value for name, value in parts.items()})
    workspace.write(_PLAN, pack(arrays))


def load_plan(
    workspace: Workspace,
    spec: JobSpec,
    settings: Settings,
    inputs: JobInputs,
) -> JobPlan | None:
    """The plan that an earlier attempt made for just this, or None and the folder is empty."""
    about = identity(spec, inputs.model.generator, inputs.hashes, settings.segment_frames)
    with suppress(*DAMAGED):
        arrays = unpack(workspace.path / _PLAN)
        numbers = json.loads(to_text(arrays["numbers"]))
        if numbers["about"] == about:
            limits = settings.limits()
            if isinstance(numbers["faces"], int):
                still = read_picture(spec.source, limits)
                return _plan_of_one(arrays, numbers, spec, inputs, still)
            return _plan(arrays, numbers, spec, inputs, limits)
    workspace.clear()
    return None


def _plan(
    arrays: Mapping[str, NDArray[Any]],
    numbers: dict[str, Any],
    spec: JobSpec,
    inputs: JobInputs,
    limits: MediaLimits,
) -> JobPlan:
    of_faces = [parts_of(arrays, f"{number} ") for number in range(len(numbers["faces"]))]
    time, (start, end) = numbers["time"], numbers["time"]["audio"]
    return JobPlan(
        inputs.model,
        figures_of(of_faces, numbers["faces"], spec, limits),
        ResultTime(
            arrays["pts"].tolist(),
            _fraction(time["rate"]),
            (_fraction(start), _fraction(end)),
            tuple((Fraction(first), Fraction(last)) for first, last in time["holes"]),
            Fraction(time["base"]),
            _fraction(time["average"]),
        ),
        numbers["size"],
        numbers["hashes"],
        rate=_fraction(numbers["rate"]),
        lead=numbers["lead"],
    )


def _plan_of_one(
    arrays: Mapping[str, NDArray[Any]],
    numbers: dict[str, Any],
    spec: JobSpec,
    inputs: JobInputs,
    still: Still,
) -> JobPlan:
    """A plan as version 0.1 wrote it, which knew one face at the driving video's own times."""
    face = face_of(arrays, {"beyond": 0, **numbers}, still)
    time = result_time(face.driving, face.kept)
    size = face_size(spec, face.source, inputs.model.generator)
    return JobPlan(inputs.model, (face,), time, size, numbers["hashes"])


def _text(value: Fraction | None) -> str | None:
    return None if value is None else str(value)


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)


# -- the state ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RolloutCheckpoint:
    """What is finished after some segments.

    Attributes:
        segments: SHA-256 of each segment's file.
        previous: of each face, the latest pictures of its rollout, newest first, as
            `_kept_picture` gives them.
    """

    segments: tuple[str, ...] = ()
    previous: tuple[tuple[Mapping[str, NDArray[Any]], ...], ...] = ()

    def after(
        self, segment: Path, states: Sequence[RolloutState], plan: JobPlan
    ) -> RolloutCheckpoint:
        """The checkpoint after one more segment and the faces' states then.

        Raises:
            AnimatorError: no_such_file if the segment is gone.
        """
        previous = tuple(
            tuple(_kept(reference, face) for reference in state.previous)
            for state, face in zip(states, plan.faces, strict=True)
        )
        return RolloutCheckpoint((*self.segments, content_hash(segment)), previous)

    def states(self, plan: JobPlan, frames: int) -> list[RolloutState]:
        """The faces' states after ``frames`` frames, which these segments hold."""
        starts = [plan.start(face) for face in plan.faces]
        previous = self.previous or ((),) * len(starts)
        return [
            _continued(plan.generator, face, start, pictures, frames)
            for face, start, pictures in zip(plan.faces, starts, previous, strict=True)
        ]


def _continued(
    generator: RolloutGenerator,
    face: Figure,
    start: RolloutState,
    pictures: Sequence[Mapping[str, NDArray[Any]]],
    frames: int,
) -> RolloutState:
    """The state of a face after ``frames`` frames of which these are the latest pictures."""
    if face.source.moving is not None:
        return RolloutState(start.source, _known(generator, pictures) or start.previous)
    latest = [
        generator.reference(_picture(kept, generator.device), face.targets[frame], start)
        for kept, frame in zip(pictures, range(frames - 1, -1, -1), strict=False)
    ]
    return RolloutState(start.source, (*latest, *start.previous)[: len(start.previous)])


def _known(
    generator: RolloutGenerator, pictures: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[Reference, ...]:
    """Previous frames that are kept with all that is known of them."""
    device = generator.device
    with generator.arithmetic():
        return tuple(
            generator.network.reference(
                "previous",
                _picture(kept, device),
                torch.from_numpy(kept["structure"]).to(device),
                torch.from_numpy(kept["landmarks"]).to(device),
            )
            for kept in pictures
        )


def segment_name(number: int) -> str:
    """The file of a segment, counted from 0."""
    return f"{number:05}.mp4"


def save_checkpoint(workspace: Workspace, checkpoint: RolloutCheckpoint) -> None:
    """Make the latest segment count; errors as in `animator.workspace.attempt.Workspace.write`."""
    count = len(checkpoint.segments)
    arrays = {"segments": from_text(json.dumps(checkpoint.segments))}
    for face, pictures in enumerate(checkpoint.previous):
        for number, picture in enumerate(pictures):
            arrays |= {f"{face} {number} {name}": value for name, value in picture.items()}
    workspace.write(_checkpoint_name(count), pack(arrays))
    (workspace.path / _checkpoint_name(count - _KEPT)).unlink(missing_ok=True)


def load_checkpoint(workspace: Workspace) -> RolloutCheckpoint:
    """The latest checkpoint of which every file is whole."""
    hashes: dict[Path, str] = {}
    # The latest first; as names have at least five digits, longer ones are later.
    paths = workspace.path.glob("[0-9]*.npz")
    for path in sorted(paths, key=lambda path: (len(path.name), path.name), reverse=True):
        with suppress(*DAMAGED):
            checkpoint = _checkpoint(unpack(path))
            # A state is of use only with all the segments before it.
            for number, wanted in enumerate(checkpoint.segments):
                segment = workspace.path / segment_name(number)
                if segment not in hashes:
                    with open(segment, "rb") as file:
                        hashes[segment] = hashlib.file_digest(file, "sha256").hexdigest()
                if hashes[segment] != wanted:
                    raise ValueError(f"{segment} is damaged")
            if path.name == _checkpoint_name(len(checkpoint.segments)):
                return checkpoint
    return RolloutCheckpoint()


def _checkpoint(arrays: Mapping[str, NDArray[Any]]) -> RolloutCheckpoint:
    previous: dict[int, dict[int, dict[str, NDArray[Any]]]] = {}
    for key, value in arrays.items():
        if key != "segments":
            # Version 0.1 knew one face, and did not number it.
            face, number, name = key.split(" ") if key.count(" ") == 2 else ("0", *key.split(" "))
            previous.setdefault(int(face), {}).setdefault(int(number), {})[name] = value
    segments = json.loads(to_text(arrays["segments"]))
    return RolloutCheckpoint(
        tuple(segments),
        tuple(
            tuple(pictures[number] for number in sorted(pictures))
            for _, pictures in sorted(previous.items())
        ),
    )


def _checkpoint_name(segments: int) -> str:
    return f"{segments:05}.npz"


def _kept(reference: Reference, face: Figure) -> dict[str, NDArray[Any]]:
    """A previous frame; of a video, of which any frame may have been generated last, all of it."""
    kept = _kept_picture(reference.image)
    if face.source.moving is not None and reference.landmarks is not None:
        kept["structure"] = reference.structure.float().cpu().contiguous().numpy()
        kept["landmarks"] = reference.landmarks.float().cpu().contiguous().numpy()
    return kept


def _kept_picture(image: torch.Tensor) -> dict[str, NDArray[Any]]:
    """A picture exactly, with its layout in memory: convolutions round differently by layout."""
    return {
        "pixels": image.float().cpu().contiguous().numpy(),  # of bfloat16, float32 keeps all
        "strides": np.array(image.stride()),
        "type": from_text(str(image.dtype)),
    }


def _picture(kept: Mapping[str, NDArray[Any]], device: torch.device) -> torch.Tensor:
    pixels = torch.from_numpy(kept["pixels"])
    dtype = _TYPES[to_text(kept["type"])]
    image = torch.empty_strided(pixels.shape, kept["strides"].tolist(), dtype=dtype, device=device)
    return image.copy_(pixels)
