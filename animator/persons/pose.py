"""Pose transfer from request to file: the person of a picture in another pose, or in many."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from animator import __version__
from animator.errors import AnimatorError
from animator.files.local import OUTPUT_SUFFIXES, SHEET_SUFFIXES, quoted
from animator.files.output import check_output, coded_errors
from animator.files.private import ordinary_mode
from animator.media.decode import MediaLimits, read_image
from animator.media.encode import VideoWriter
from animator.media.stills import encode_picture, write_picture
from animator.persons.bodies import BodyDetector, largest_body, make_body_detector
from animator.persons.generator import (
    PersonGenerator,
    load_person_generator,
    resolve_person_weights,
)
from animator.persons.targets import MakeDetector, Poses, Target, source_joints
from animator.persons.windows import Window, resize
from animator.settings import Settings
from animator.values import DEVICE
from animator.watch import OnProgress, Watch, coded_memory_errors
from gfla.joints import Joints, found

Frame = Literal["auto", "person", "whole"]
SAME_ASPECT = 0.1
"""How far a picture's aspect may be from the model's and still count as a picture of its kind."""
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
    frame: Frame = "auto"
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
        if self.frame not in get_args(Frame):
            raise _refuse("frame", self.frame, ", ".join(get_args(Frame)))
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
    """

    output: str
    frames: int
    held: int
    weights: str
    seconds: float


def transfer_pose(
    request: PoseRequest,
    settings: Settings,
    *,
    overwrite: bool = False,
    report: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    detector: BodyDetector | None = None,
) -> PoseResult:
    """Render a person in other poses.

    Args:
        request: what.
        settings: where the weights library is, and the limits on inputs.
        overwrite: whether the output may replace a file; a folder is never replaced.
        report: called with the progress.
        should_stop: polled after every frame; once true, nothing of the output is left.
        detector: finds bodies; None for Keypoint R-CNN, loaded only where a pose has to be found.

    Raises:
        AnimatorError: with the code of whatever stood in the way.
        JobCancelled: if ``should_stop`` said so.
    """
    began = time.monotonic()
    watch, limits = Watch(report, should_stop), settings.limits()
    # Look at all that can be wrong before anything is loaded.
    resolve_person_weights(request.weights, settings)
    target = Target(request.target, limits)
    check_pose_output(request, target.sequence, overwrite)
    picture = read_image(request.source, limits)
    device = settings.device if request.device == "auto" else request.device

    # Made by the first who needs it: poses in files need none.
    made: list[BodyDetector] = [] if detector is None else [detector]

    def make_detector() -> BodyDetector:
        if not made:
            weights = request.detector_weights
            made.append(make_body_detector("auto", device, settings.state_dir, weights=weights))
        return made[0]

    # Poses, then what the networks see, then the pictures.
    with coded_memory_errors():
        with watch.stage("load"):
            generator = load_person_generator(request.weights, device, request.precision, settings)
            joints, canvas = _source_joints(request, picture, make_detector)
        watch.check()
        poses = target.read(make_detector, watch)
        scene = plan_scene(request, generator, picture, joints, poses, canvas)
        with watch.stage("generate", len(scene.targets)):
            _write(request, target, poses, scene, watch, limits)
    seconds = round(time.monotonic() - began, 3)
    return PoseResult(request.output, len(scene.targets), poses.held, generator.name, seconds)


@dataclass(frozen=True, eq=False)
class Scene:
    """All that rendering needs.

    Attributes:
        generator: the networks.
        source: uint8 H W 3 as they see it.
        source_joints: 18 x 2 pixels of it.
        targets: T x 18 x 2 pixels alike.
        size: height and width of the results.
    """

    generator: PersonGenerator
    source: NDArray[np.uint8]
    source_joints: Joints
    targets: Joints
    size: tuple[int, int]

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """The results one after another, uint8 H W 3."""
        for target in self.targets:
            rendered = self.generator.render(self.source, self.source_joints, target)
            yield resize(rendered, self.size)


def plan_scene(
    request: PoseRequest,
    generator: PersonGenerator,
    picture: NDArray[np.uint8],
    joints: Joints,
    poses: Poses,
    canvas: tuple[int, int] | None = None,
) -> Scene:
    """Choose what the networks see of the source, and where the target poses lie in the result.

    Args:
        request: its frame and size.
        generator: the networks.
        picture: the source, uint8 H W 3.
        joints: 18 x 2 of the source.
        poses: the targets.
        canvas: height and width of the picture that ``joints`` are of; None for the source's own.

    Raises:
        AnimatorError: invalid_pose if the source's pose is not of its picture.
    """
    # The source, in pixels of its picture, and the part around the person.
    size = (picture.shape[0], picture.shape[1])
    if canvas is not None and canvas != size:
        joints = Window.whole(canvas).place(joints, size)
    window = choose_window(request.frame, joints, size, generator.aspect)
    if not window.fits(size):
        message = f"The pose of the source does not lie in its picture, {quoted(request.source)}."
        raise AnimatorError("invalid_pose", message)
    # Poses without a picture of their own are taken as in the source's, where they lie in it.
    target_size = poses.canvas
    if target_size is None and (request.frame == "whole" or window == Window.whole(size)):
        target_size = size if _lies_in(poses.joints, size) or request.frame == "whole" else None
    target_window = choose_window(request.frame, poses.joints, target_size, generator.aspect)
    # Both in the pixels that the networks see, and the size of the result.
    height = request.size or generator.size[0]
    return Scene(
        generator,
        window.cut(picture, generator.size),
        window.place(joints, generator.size),
        target_window.place(poses.joints, generator.size),
        (height, max(1, round(height * generator.aspect))),
    )


def choose_window(
    frame: Frame, joints: Joints, size: tuple[int, int] | None, aspect: float
) -> Window:
    """The part of a picture that stands for a picture of the model's kind.

    Args:
        frame: as ``PoseRequest.frame``.
        joints: ... x 18 x 2; of a sequence all, so that the part stays the same.
        size: height and width of the picture, None if unknown.
        aspect: width in units of height of the model's pictures.
    """
    if size is not None:
        alike = abs(size[1] / size[0] / aspect - 1) <= SAME_ASPECT
        if frame == "whole" or (frame == "auto" and alike):
            return Window.whole(size)
    return Window.around(joints, aspect)


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


def _source_joints(
    request: PoseRequest, picture: NDArray[np.uint8], make_detector: MakeDetector
) -> tuple[Joints, tuple[int, int] | None]:
    if request.source_pose is None:
        return largest_body(picture, make_detector(), request.source), None
    joints, canvas = source_joints(request.source_pose, request.source)
    if not found(joints).any():
        message = f"{quoted(request.source_pose)} has no joint of the source."
        raise AnimatorError("invalid_pose", message)
    return joints, canvas


def _lies_in(joints: Joints, size: tuple[int, int]) -> bool:
    there = joints[found(joints)]
    return bool((there >= 0).all() and (there < [size[1], size[0]]).all())


def _write(
    request: PoseRequest,
    target: Target,
    poses: Poses,
    scene: Scene,
    watch: Watch,
    limits: MediaLimits,
) -> None:
    output, comment = Path(request.output), _provenance(scene.generator)
    if not target.sequence:
        (picture,) = scene.pictures()
        watch.advance(1, last_stage=True)
        write_picture(output, picture, comment, JPEG_QUALITY)
    elif output.suffix.lower() in OUTPUT_SUFFIXES:
        _write_video(request, target, poses, scene, watch, limits)
    else:
        with _new_folder(output) as part:
            for name, picture in zip(poses.names, scene.pictures(), strict=True):
                (part / f"{name}.png").write_bytes(encode_picture(picture, ".png", comment))
                watch.advance(1, last_stage=True)


def _write_video(
    request: PoseRequest,
    target: Target,
    poses: Poses,
    scene: Scene,
    watch: Watch,
    limits: MediaLimits,
) -> None:
    """A video with the times and the sound of the target's, or at a steady rate."""
    timed = poses.pts is not None
    pts = poses.pts or tuple(range(len(poses.joints)))
    time_base = poses.time_base if timed else 1 / request.fps
    with VideoWriter(
        Path(request.output),
        width=scene.size[1],
        height=scene.size[0],
        time_base=time_base,
        rate=poses.rate if timed else request.fps,
        audio_from=target.path if timed else None,
        audio_start=poses.audio_start,
        metadata={"comment": _provenance(scene.generator)},
        limits=limits,
    ) as writer:
        for at, picture in zip(pts, scene.pictures(), strict=True):
            writer.write(picture, at)
            watch.advance(1, last_stage=True)


@contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when the block ends well and else leaves nothing."""
    output = output.absolute()
    part = output.parent / f".{output.name[:40]}.{secrets.token_hex(4)}.part"
    try:
        with coded_errors(output):
            part.mkdir(mode=0o700)
            yield part
            part.chmod(ordinary_mode(0o777))
            os.replace(part, output)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _provenance(generator: PersonGenerator) -> str:
    return (
        "AI-generated: a person shown in another pose "
        f"(animator {__version__}, weights {generator.name})."
    )


def _refuse(name: str, got: object, allowed: str) -> AnimatorError:
    return AnimatorError("invalid_option", f"{name} is {got!r}; allowed is {allowed}.")
