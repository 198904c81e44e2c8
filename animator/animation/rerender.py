"""The first frames of a result rendered again, and compared with those that a file shows.

Rendering the same inputs with the same weights and options gives the same frames, but for what
other devices round otherwise. A file shows them as its coding left them. So the frames are also
coded again, as results are: what that alone costs is the measure of what may differ.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.inputs import open_inputs
from animator.animation.kinds import fitting, plan_job
from animator.animation.plan import JobPlan
from animator.animation.render import SegmentRenderer
from animator.errors import AnimatorError
from animator.files.output import coded_errors
from animator.files.unchanged import unchanged
from animator.media.decode import VideoReader
from animator.moving_faces import MovingFaces
from animator.options import Faces
from animator.settings import Settings
from animator.spec import FORMER, JobSpec
from animator.values import DEFAULT_WEIGHTS_NAME, is_weights_name, options_of
from animator.watch import OnProgress, Watch, coded_memory_errors
from animator.workspace.attempt import Workspace
from gfla.arrays import Picture

MAX_FRAMES = 1000
"""Most frames that are rendered again."""
MAX_BYTES = 4 << 30
"""Most bytes of them, as they lie on the disk until they are compared."""
Outcome = Literal["equal", "same", "similar", "different"]
"""What a comparison comes to:

    equal      each frame is bit for bit what rendering and coding it again gives
    same       no frame differs by more than coding it again does, and `TOLERANCE`
    similar    each frame has at least `SIMILAR` dB: after another coding, or on another machine
    different  it does not show these inputs, was changed, or was coded far more coarsely
"""
TOLERANCE = 3.0
"""Decibels below what coding alone costs: it codes a frame otherwise beside other frames."""
SIMILAR = 30.0
_EQUAL = 100.0  # decibels that are told of two frames that are equal, in place of infinity


@dataclass(frozen=True)
class Comparison:
    """What rendering again has shown.

    Attributes:
        frames: how many were compared, from the first on.
        psnr: of each frame in the file against the one rendered, in dB; 100 for equal ones.
        coding: of the frames rendered and coded again against themselves, in dB: what coding costs.
        equal: frames of the file that are bit for bit those coded again.
        outcome: in one word.
        findings: sentences for a person.
        weights: name of the weights that rendered.
        hashes: SHA-256 of what was rendered from, by name.
    """

    frames: int
    psnr: tuple[float, ...]
    coding: tuple[float, ...]
    equal: int
    outcome: Outcome
    findings: tuple[str, ...]
    weights: str
    hashes: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


def spec_of(
    settings: Mapping[str, Any],
    source: str,
    driving: str,
    video: str,
    others: Mapping[str, str] | None = None,
    **given: Any,
) -> JobSpec:
    """The job that a mark's settings describe, with these files.

    Args:
        settings: options by name, as a file says them.
        source: the portrait.
        driving: the driving video.
        video: the result; it is not written.
        others: further driving files, as marks name them.
        given: options that are known better, such as the device.

    Raises:
        AnimatorError: invalid_option if an option is not known here, or its value is not allowed.
    """
    options = options_of(JobSpec)
    known = {name for name, item in options.items() if item.kind != "location"} - {"device"}
    # Weights are named; no file of this machine is opened because a video says so.
    weights = settings.get("weights", DEFAULT_WEIGHTS_NAME)
    if not (isinstance(weights, str) and is_weights_name(weights)):
        raise AnimatorError("invalid_option", "The video's marks name no weights of a library.")
    if unknown := sorted(set(settings) - known):
        names = ", ".join(name[:40] for name in unknown[:5])
        message = f"The video was made with options that this version does not know: {names}."
        raise AnimatorError("invalid_option", message)
    chosen = {**FORMER, **settings, "audio": "none", **given}  # only frames are compared
    if "face" in chosen:
        chosen["face"] = _with_files(chosen["face"], {"driving": driving, **(others or {})})
    try:
        return JobSpec(source, driving, video, **chosen)  # type: ignore[arg-type]
    except TypeError as error:  # a value of a kind that no comparison takes
        message = "The settings in the video's marks make no sense."
        raise AnimatorError("invalid_option", message) from error


def _with_files(face: object, files: Mapping[str, str]) -> Faces:
    """The choice of faces with files in the place of the names that a mark has for them."""
    faces = MovingFaces.parse(face)
    if missing := sorted({name for _, name in faces.files} - files.keys()):
        message = (
            f"Faces of it were moved by further driving files ({', '.join(missing)}); give "
            "--driving again for each, in the order of the marks."
        )
        raise AnimatorError("invalid_option", message)
    return faces.located(files.__getitem__).text


def compare_again(
    spec: JobSpec,
    frames: int,
    *,
    settings: Settings,
    report: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Comparison:
    """Render the first frames of a job again and compare them with its output, which is there.

    Args:
        spec: the job; its output is the file that is looked at.
        frames: how many, 1 to `MAX_FRAMES`; fewer if the job has fewer.
        settings: as for `animator.animation.pipeline.animate`.
        report: called with the progress, about ten times a second.
        should_stop: polled after every frame.

    Raises:
        AnimatorError: those of `animate`, and for the file those of
            `animator.media.decode.VideoReader`.
        JobCancelled: if ``should_stop`` said so.
    """
    if not 1 <= frames <= MAX_FRAMES:
        message = f"render is {frames}; allowed is 1 to {MAX_FRAMES}."
        raise AnimatorError("invalid_option", message)
    watch = Watch(report, should_stop)
    with coded_memory_errors():
        with watch.stage("load"):
            inputs = open_inputs(spec, settings)
            spec = fitting(spec, inputs.model.generator.subject, settings)
    with coded_memory_errors(), unchanged(inputs.files):
        plan = plan_job(spec, inputs, settings, watch)
        count = min(frames, len(plan.kept))
        # The plan is that of the whole result, of which the first frames are rendered.
        plan = plan.first(count)
        with tempfile.TemporaryDirectory(prefix="animator-") as folder:
            workspace = Workspace.temporary(Path(folder) / Path(spec.output).name)
            renderer = SegmentRenderer(spec, plan, workspace, settings, watch)
            size = renderer.composer.output_size
            _check_room(count, *size)
            spool = Path(folder) / "rendered.rgb"
            with watch.stage("generate", count), coded_errors(spool), open(spool, "wb") as raw:
                renderer.composer = _Recorder(renderer.composer, raw)
                renderer.render(0)
                renderer.join()
                made = renderer.finish()
            with watch.stage("compare", count):
                coded = _pictures(workspace.path / made, settings)
                shown = _pictures(Path(spec.output), settings)
                return _compare(plan, _spooled(spool, *size), coded, shown, watch)


class _Recorder(Composer):
    """A composer that also writes its frames into a file, as bytes without any coding."""

    def __init__(self, composer: Composer, file: IO[bytes]) -> None:
        vars(self).update(vars(composer))
        self._file = file

    def compose(
        self, source: Picture, faces: Sequence[GeneratedFace], driving: Picture | None = None
    ) -> Picture:
        frame = super().compose(source, faces, driving)
        self._file.write(np.ascontiguousarray(frame).data)
        return frame


def _check_room(count: int, width: int, height: int) -> None:
    length = width * height * 3
    if count * length > MAX_BYTES:
        most = MAX_BYTES // length
        message = f"Of frames of {width} x {height} pixels, {most} can be rendered again at once."
        raise AnimatorError("invalid_option", message)


def _compare(
    plan: JobPlan,
    rendered: Iterator[Picture],
    coded: Iterator[Picture],
    shown: Iterator[Picture],
    watch: Watch,
) -> Comparison:
    """Compare frames as they were rendered, as coded again, and as the file shows them."""
    count = len(plan.kept)
    psnr, coding, equal, other = [], [], 0, ""
    for frame, again, there in islice(zip(rendered, coded, shown, strict=False), count):
        height, width = frame.shape[:2]
        if there.shape != again.shape:
            other = (
                f"The file shows {there.shape[1]} x {there.shape[0]} pixels, "
                f"the result has {width} x {height}."
            )
            break
        coding.append(_psnr(frame, again[:height, :width]))
        psnr.append(_psnr(frame, there[:height, :width]))
        equal += int(np.array_equal(again, there))
        watch.advance(1)
    outcome = _outcome(psnr, coding, equal)
    findings = [_sentence(outcome, psnr, coding)] if psnr else []
    if other:
        outcome, findings = "different", [other]
    elif len(psnr) < count:
        outcome = "different"
        findings.append(f"The file ends after {len(psnr)} of the {count} frames.")
    hashes = {**plan.hashes, "weights": plan.generator.sha256}
    return Comparison(
        len(psnr), tuple(psnr), tuple(coding), equal, outcome, tuple(findings),
        plan.generator.name, hashes,
    )  # fmt: skip


def _outcome(psnr: list[float], coding: list[float], equal: int) -> Outcome:
    if not psnr:
        return "different"
    if equal == len(psnr):
        return "equal"
    if all(one >= alone - TOLERANCE for one, alone in zip(psnr, coding, strict=True)):
        return "same"
    return "similar" if min(psnr) >= SIMILAR else "different"


def _sentence(outcome: Outcome, psnr: list[float], coding: list[float]) -> str:
    count = f"{len(psnr)} frames were" if len(psnr) > 1 else "1 frame was"
    figures = (
        f"at the worst frame they agree to {min(psnr):.1f} dB, where coding alone costs "
        f"down to {min(coding):.1f} dB"
    )
    match outcome:
        case "equal":
            return f"{count} rendered and coded again: bit for bit those of the file."
        case "same":
            return f"{count} rendered again: the same to within coding; {figures}."
        case "similar":
            return (
                f"{count} rendered again: alike, but not to within coding; {figures}. That is "
                "what another coding or another machine leaves, or a small change."
            )
    return (
        f"{count} rendered again: the file shows something else, or was coded far more coarsely; "
        f"{figures}."
    )


def _spooled(spool: Path, width: int, height: int) -> Iterator[Picture]:
    length = width * height * 3
    with open(spool, "rb") as raw:
        while len(content := raw.read(length)) == length:
            yield np.frombuffer(content, np.uint8).reshape(height, width, 3)


def _pictures(video: Path, settings: Settings) -> Iterator[Picture]:
    with VideoReader(video, limits=settings.limits(), forgiving=True) as reader:
        for batch in reader:
            yield from batch.pixels


def _psnr(one: Picture, other: Picture) -> float:
    """Peak signal-to-noise ratio of two pictures in dB, 100 at most."""
    error = float(np.mean((one.astype(np.float32) - other) ** 2))
    if error == 0:
        return _EQUAL
    return round(min(10 * math.log10(255**2 / error), _EQUAL), 2)
