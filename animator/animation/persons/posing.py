"""Pose transfer from request to file: the person of a picture in another pose, or in many."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast, get_args

from animator.animation.inputs import JobInputs
from animator.animation.persons.following import Bodies
from animator.animation.persons.plan import PersonOptions, plan_person
from animator.animation.pipeline import animate
from animator.animation.plan import JobPlan
from animator.animation.render import provenance
from animator.errors import AnimatorError
from animator.files.local import OUTPUT_SUFFIXES, SHEET_SUFFIXES, check_input, quoted
from animator.files.output import check_output, coded_errors
from animator.files.private import ordinary_mode
from animator.media.decode import read_image
from animator.media.stills import write_picture
from animator.options import PoseWindow, Precision
from animator.persons.bodies import BodyDetector, make_body_detector
from animator.persons.targets import Target
from animator.record import Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import DEVICE, Location
from animator.watch import OnProgress, Watch
from animator.weights.library import describe_file, for_spec, list_weights, purpose, resolve
from animator.weights.subjects import kind_of
from gfla.config import PoseTransferConfig

MIN_SIZE, MAX_SIZE = 64, 2048
JPEG_QUALITY = 95


@dataclass(frozen=True)
class PoseRequest:
    """What to render. Every value is checked when it is made.

    Raises:
        AnimatorError: `invalid_option`.
    """

    source: str
    """The picture of the person."""
    target: str
    """The pose or poses; see `animator.persons.targets.Target`."""
    output: str
    """A picture (.png, .jpg) for one pose; a video (.mp4) or a folder for a sequence."""
    weights: str | None = None
    """A model for pose transfer: a name in the library, or a file."""
    source_pose: str | None = None
    """File with the source's pose; None to find it in the picture."""
    frame: PoseWindow = "auto"
    """Which part of a picture the model sees: the part around the person, all of it, or (auto) all
    of it where it has the aspect of the model's pictures."""
    size: int | None = None
    """Height of the result in pixels; None for the model's own."""
    fps: Fraction = Fraction(25)
    """Frames a second of a video that is not made from one."""
    device: str = "auto"
    """Where the networks run."""
    precision: str = "auto"
    """Arithmetic of the networks."""
    detector_weights: str | None = None
    """File of the body detector's weights; None for torchvision's own."""

    def __post_init__(self) -> None:
        """Check every field."""
        if self.frame not in get_args(PoseWindow):
            raise _refuse("frame", self.frame, ", ".join(get_args(PoseWindow)))
        if self.size is not None and not MIN_SIZE <= self.size <= MAX_SIZE:
            raise _refuse("size", self.size, f"{MIN_SIZE} to {MAX_SIZE}")
        if not 0 < self.fps <= 240:
            raise _refuse("fps", float(self.fps), "above 0, up to 240")
        if not DEVICE.fullmatch(self.device):
            raise _refuse("device", self.device, "auto, cpu, cuda, cuda:N")


@dataclass(frozen=True)
class PoseResult:
    """What was made.

    Attributes:
        output: its path.
        frames: pictures rendered.
        held: of them, those that hold a pose because nobody was found in the target's frame.
        weights: which weights rendered it.
        seconds: it took.
        warnings: sentences for a person.
    """

    output: str
    frames: int
    held: int
    weights: str
    seconds: float
    warnings: tuple[str, ...] = ()


def transfer_pose(
    request: PoseRequest,
    settings: Settings,
    *,
    overwrite: bool = False,
    report: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    detector: BodyDetector | None = None,
) -> PoseResult:
    """Render a person in other poses, as `animator.animation.pipeline.animate` renders any job.

    Args:
        request: what.
        settings: where the weights library is, and the limits on inputs.
        overwrite: whether the output may replace a file; a folder is never replaced.
        report: called with the progress.
        should_stop: polled after every frame; once true, nothing of the output is left.
        detector: finds bodies; None for the one of this machine, loaded only where a pose has to
            be found.

    Raises:
        AnimatorError: with the code of whatever stood in the way.
        JobCancelled: if ``should_stop`` said so.
    """
    began = time.monotonic()
    # Look at all that can be wrong before anything is loaded.
    resolve_person_weights(request.weights, settings)
    target = Target(request.target, settings.limits())
    check_pose_output(request, target.sequence, overwrite)
    bodies = _bodies(request, settings, detector)
    options = PersonOptions(bodies, "as given", request.size)
    made: list[JobPlan] = []

    def plan(spec: JobSpec, inputs: JobInputs, settings: Settings, watch: Watch) -> JobPlan:
        made.append(plan_person(spec, inputs, settings, watch, options))
        return made[-1]

    def render(output: str) -> Result:
        spec = _spec_of(request, output, settings)
        return animate(
            spec, settings=settings, report=report, should_stop=should_stop,
            overwrite=overwrite, make_plan=plan,
        )  # fmt: skip

    # A video is what every job makes; pictures are made into a folder, and get their own names.
    output = Path(request.output)
    if target.sequence and output.suffix.lower() in OUTPUT_SUFFIXES:
        result = render(str(output.absolute()))
    else:
        with _folder_beside(output) as part:
            result = render(f"{part}/")
            pictures = sorted(part.glob("*.png"))
            if target.sequence:
                _name(pictures, made[-1])
                _appear(part, output)
            else:
                _put(pictures[0], output, made[-1])
    held = sum(last - first + 1 for first, last in result.missing)
    seconds = round(time.monotonic() - began, 3)
    return PoseResult(request.output, result.frames, held, result.weights, seconds, result.warnings)


def _spec_of(request: PoseRequest, output: str, settings: Settings) -> JobSpec:
    """The job that renders a request."""
    device = settings.device if request.device == "auto" else request.device
    pose = request.source_pose
    assert request.weights is not None
    return JobSpec(
        _absolute(request.source),
        _absolute(request.target),
        Location(output),
        weights=for_spec(request.weights, settings),
        source_pose="auto" if pose is None else _absolute(pose),
        window=request.frame,
        driving_fps=str(request.fps),
        source_motion="still",
        device=device,
        precision=cast(Precision, request.precision),
    )


def _absolute(path: str) -> Location:
    return Location(os.path.abspath(path))


def _bodies(request: PoseRequest, settings: Settings, detector: BodyDetector | None) -> Bodies:
    """What finds bodies: made by the first who needs it, as poses in files need none."""
    made = [] if detector is None else [detector]
    device = settings.device if request.device == "auto" else request.device

    def make() -> BodyDetector:
        if not made:
            weights, folder = request.detector_weights, settings.state_dir
            made.append(make_body_detector("auto", device, folder, weights=weights))
        return made[0]

    return Bodies(make)


def _name(pictures: Sequence[Path], plan: JobPlan) -> None:
    """Call pictures as the poses are called that they show."""
    names = getattr(plan.face, "names", ())
    for number, picture in enumerate(pictures):
        frame = int(plan.kept[number])
        name = names[frame] if frame < len(names) else f"{frame:06d}"
        picture.rename(picture.with_name(f"{name}.PNG"))
    for picture in {one.parent for one in pictures}.pop().glob("*.PNG"):
        picture.rename(picture.with_suffix(".png"))


def _put(picture: Path, output: Path, plan: JobPlan) -> None:
    """Give the one picture its name and kind; a PNG keeps its mark."""
    if output.suffix.lower() == ".png":
        picture.chmod(ordinary_mode(0o666))
        os.replace(picture, output)
    else:
        comment = provenance(plan.generator)["comment"]
        write_picture(output, read_image(picture), comment, JPEG_QUALITY)


@contextmanager
def _folder_beside(output: Path) -> Iterator[Path]:
    """A folder for pictures beside an output, of which nothing is left."""
    output = output.absolute()
    part = output.parent / f".{output.name[:40]}.{secrets.token_hex(4)}.part"
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _appear(part: Path, output: Path) -> None:
    """Give a folder its name, with the rights of folders."""
    with coded_errors(output):
        part.chmod(ordinary_mode(0o777))
        os.replace(part, output.absolute())


def resolve_person_weights(weights: str | None, settings: Settings) -> None:
    """Check that the weights are there and animate persons; loads nothing.

    Raises:
        AnimatorError: no_such_weights, no_such_file, weights_unreadable, weights_wrong_kind.
    """
    if weights is None:
        there = [w.name for w in list_weights(settings) if w.kind == PoseTransferConfig.kind]
        known = f"the library has {', '.join(there)}" if there else "the library has none"
        raise AnimatorError(
            "no_such_weights",
            "Pose transfer needs weights, and none are shipped: name some with --weights "
            f"({known}). `animator weights import FILE` brings in a published model "
            "(*_net_G.pth) or one that was trained with `animator train`.",
        )
    path = resolve(weights, settings)
    check_input(str(path))
    config = describe_file(path).config
    if kind_of(config) != "person":
        raise AnimatorError(
            "weights_wrong_kind",
            f"The weights {weights!r} are for {purpose(config)} ({config.kind}); `animator pose` "
            "needs weights for person pose transfer, which none of the shipped ones are: "
            "`animator weights import` brings them in, `animator weights list` shows them.",
        )


def check_pose_output(request: PoseRequest, sequence: bool, overwrite: bool) -> None:
    """Check before any work that the output can be made, and is of the target's kind.

    Raises:
        AnimatorError: invalid_option, output_exists, output_exists_as_folder, output_not_writable,
            disk_full.
    """
    output = Path(request.output)
    kinds = OUTPUT_SUFFIXES if sequence else SHEET_SUFFIXES
    # A single file of the right kind.
    if output.suffix.lower() in kinds:
        if output.is_file() and output.samefile(request.source):
            raise AnimatorError("invalid_option", "The output is the source file itself.")
        if output.is_file() and not overwrite:
            message = f"{quoted(output)} exists; --force replaces it."
            raise AnimatorError("output_exists", message)
        check_output(output)
        return
    # The wrong kind, or a folder for a sequence, which must be new or empty.
    if not sequence or output.suffix.lower() in (*SHEET_SUFFIXES, *OUTPUT_SUFFIXES):
        what = "a sequence of poses" if sequence else "one pose"
        other = ", or be that of a folder" if sequence else ""
        message = f"The target is {what}: the output's name must end in {', '.join(kinds)}{other}."
        raise AnimatorError("invalid_option", message)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        message = f"{quoted(output)} exists and is not an empty folder; give a new name."
        raise AnimatorError("output_exists", message)
    if not output.absolute().parent.is_dir():
        message = f"There is no folder {quoted(output.absolute().parent)}."
        raise AnimatorError("output_not_writable", message)


def _refuse(name: str, got: object, allowed: str) -> AnimatorError:
    return AnimatorError("invalid_option", f"{name} is {got!r}; allowed is {allowed}.")
