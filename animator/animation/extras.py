"""Files beside a video, for data sets: landmarks, structures, flows, and frames without loss.

    NAME.landmarks.npz    targets T 68 2 float32, in units of the face's square (0..1 from edge to
                          edge); of a person T 18 2, the joints in pixels of what the networks see
                          square 3: left and top edge and side of that square in pixels of the video
                          (T 3 where the portrait is a video); of a person 4, the window's left and
                          top edge, width and height
                          frames T, the driving frame of each
                          pts T and time_base 2 (numerator, denominator): times of the frames
    NAME.structures.npz   frame00000 ...: float16 16 S S, the structure guidance of a frame
    NAME.flows.npz        frame00000/flow_LAYER_REFERENCE ...: float16 2 h w, in pixels there
                          frame00000/mask_LAYER_REFERENCE ...: float16 1 h w, 1 takes the reference
    NAME.frames.tar       frame00000.png ...: the frames of the finished video

Frames count from 0 in the video. All are written frame by frame, so that memory does not grow with
the video's length, and equal jobs give equal bytes.
"""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from animator.animation.composing.compose import Composer
from animator.animation.composing.view import FollowingView
from animator.animation.kinds import subject_of
from animator.animation.plan import JobPlan
from animator.faces.crop import Part, Square
from animator.files.output import coded_errors
from animator.media.decode import open_finished
from animator.options import Extra
from animator.spec import ENDINGS, JobSpec, extra_files
from animator.watch import Watch
from animator.workspace.attempt import Workspace

_FAST = 1  # zlib's level: structures shrink to a few percent with any


def write_extras(
    spec: JobSpec, plan: JobPlan, workspace: Workspace, video: str, watch: Watch
) -> dict[str, Path]:
    """Write what the job asks for into its workspace, once its video is whole.

    Args:
        spec: the job.
        plan: of the job.
        workspace: holds the video; another attempt that takes it over writes them anew.
        video: its name there.
        watch: counts frames, and says when to stop.

    Returns:
        Names in the workspace and where each file is to go.

    Raises:
        LeaseLost: if the workspace was taken over.
        AnimatorError: disk_full, output_not_writable.
    """
    targets = extra_files(workspace.output, spec.extras)
    names = {extra: f"extra{ENDINGS[extra]}" for extra in targets}
    by_frame = [extra for extra in spec.extras if extra != "landmarks"]
    with watch.stage("extras", len(plan.kept) * len(by_frame)):
        for extra, name in names.items():
            with workspace.owned(), coded_errors(targets[extra]):
                _WRITERS[extra](spec, plan, workspace.path / name, workspace.path / video, watch)
    return {names[extra]: target for extra, target in targets.items()}


def _write_landmarks(spec: JobSpec, plan: JobPlan, path: Path, video: Path, watch: Watch) -> None:
    base = plan.time.time_base
    with _archive(path) as add:
        add("targets", plan.targets.astype(np.float32))
        add("square", _squares(spec, plan))
        add("frames", plan.kept.astype(np.int64))
        add("pts", np.array(plan.pts, np.int64))
        add("time_base", np.array([base.numerator, base.denominator], np.int64))


def _squares(spec: JobSpec, plan: JobPlan) -> NDArray[np.int64]:
    """Where the video shows the face's square, in each frame if the portrait is a video."""
    beside = plan.driving.size if spec.shows == "side-by-side" else None
    view = subject_of(plan).view(spec, plan)
    composer, found = Composer(view, beside), []
    for number in range(1 if plan.face.shown is None else len(plan.pts)):
        square: Part = plan.face.square(number)
        if isinstance(view, FollowingView) and isinstance(square, Square):
            view.square = square
        box = composer.place(square).box
        found.append(box[:3] if isinstance(square, Square) else box)
    return np.array(found[0] if plan.face.shown is None else found, np.int64)


def _write_structures(spec: JobSpec, plan: JobPlan, path: Path, video: Path, watch: Watch) -> None:
    state = plan.start()
    with _archive(path) as add:
        for number, points in enumerate(plan.targets):
            structure, _ = plan.generator.guidance(points, state)
            add(_frame(number), structure[0].half().cpu().numpy())
            watch.advance(1)


def _write_flows(spec: JobSpec, plan: JobPlan, path: Path, video: Path, watch: Watch) -> None:
    """Roll out once more: the engine that rendered the video hands out pictures alone."""
    state = plan.start()
    with _archive(path) as add:
        for number, points in enumerate(plan.targets):
            state, prediction = plan.generator.predict(state, points)
            for kind, found in (("flow", prediction.flows), ("mask", prediction.masks)):
                for (layer, reference), values in found.items():
                    name = f"{_frame(number)}/{kind}_{layer}_{reference}"
                    add(name, values[0].half().cpu().numpy())
            watch.advance(1)


def _write_frames(spec: JobSpec, plan: JobPlan, path: Path, video: Path, watch: Watch) -> None:
    with (
        _written(path) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive,
        open_finished(video) as reader,
    ):
        # Of the video as it was coded, so that they are what a viewer of it sees.
        pictures = (picture for batch in reader for picture in batch.pixels)
        for number, picture in enumerate(pictures):
            content = cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
            member = tarfile.TarInfo(f"{_frame(number)}.png")  # with no owner, at time 0
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
            watch.advance(1)


_Writer = Callable[[JobSpec, JobPlan, Path, Path, Watch], None]
_WRITERS: Mapping[Extra, _Writer] = {
    "landmarks": _write_landmarks,
    "structures": _write_structures,
    "flows": _write_flows,
    "frames": _write_frames,
}


def _frame(number: int) -> str:
    return f"frame{number:05}"


@contextmanager
def _archive(path: Path) -> Iterator[Callable[[str, NDArray[Any]], None]]:
    """An npz file that arrays are added to one by one."""
    with ExitStack() as opened:
        file = opened.enter_context(_written(path))
        # Members that are opened by name get a fixed time.
        archive = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_FAST)
        opened.enter_context(archive)

        def add(name: str, array: NDArray[Any]) -> None:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)

        yield add


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A new file, on disk when the block ends."""
    with open(path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
