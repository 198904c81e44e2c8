"""The frames of a job: rolled out, composed and encoded in segments, and joined to the video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animator import __version__
from animator.animation.ahead import ahead
from animator.animation.compose import Composer
from animator.animation.plan import JobPlan, driving_frames
from animator.animation.portrait import PortraitGenerator
from animator.animation.preview import Preview
from animator.animation.resume import load_checkpoint, save_checkpoint, segment_name
from animator.faces.crop import fit_size
from animator.media.encode import VideoWriter
from animator.media.join import join
from animator.media.mp4 import Sound
from animator.provenance.mark import sentence
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.workspace.attempt import Workspace
from gfla.models.rollout import RolloutState

VIDEO = "video.mp4"
"""What the whole video is called in the workspace."""
_DRIVING_AHEAD = 4  # driving pictures that wait to be shown beside the result

Rendered = tuple[NDArray[np.uint8], RolloutState]


class SegmentRenderer:
    """Makes the video of one job in its workspace.

    Steps run in the engine's thread and driving pictures are decoded in one of their own, while
    the caller's draws guidance ahead of them, and composes and encodes behind them.

    Args:
        spec: the job.
        plan: of the job.
        workspace: where its segments are and go.
        settings: what inputs may be at most, and how many frames a segment has; the last may have
            fewer.
        watch: counts frames, says when to stop, and takes the newest frame where that is wanted.

    Attributes:
        composer: makes the frames of the video.
        total: frames of the video.
        resumed: frames that an earlier attempt had finished.
    """

    def __init__(
        self,
        spec: JobSpec,
        plan: JobPlan,
        workspace: Workspace,
        settings: Settings,
        watch: Watch,
    ) -> None:
        self._spec, self._plan, self._workspace = spec, plan, workspace
        self._settings, self._watch = settings, watch
        self._preview = Preview(watch.preview)
        source = plan.source
        self.composer = Composer(
            spec.output_mode, source.picture, source.square, spec.size, plan.driving.size
        )
        self._checkpoint = load_checkpoint(workspace)
        self._time = plan.time
        self.total = len(self._time.pts)
        done = len(self._checkpoint.segments) * settings.segment_frames
        self.resumed = min(done, self.total)

    def render(self, priority: int) -> None:
        """Render the segments that are not there yet.

        Errors as in `animator.animation.pipeline.animate`.
        """
        spec, plan, first = self._spec, self._plan, self.resumed
        if first == self.total:
            return
        state = self._checkpoint.state(plan, spec.size, first)
        # Driving pictures, if they are shown, and the clip that goes on from the last state.
        engine = plan.model.engine(self._settings.slots)
        with ExitStack() as running:
            shown: Iterator[NDArray[np.uint8] | None] = repeat(None)
            if spec.output_mode == "side-by-side":
                pictures = driving_frames(spec, plan.kept[first:], self._settings.limits())
                shown = running.enter_context(ahead(pictures, _DRIVING_AHEAD, self._watch.check))
            clip = running.enter_context(engine.open(state, priority, self._watch.check))
            frames = zip(clip.render(plan.targets[first:]), shown, strict=False)
            # One segment after another; each is a place from which another attempt can go on.
            for start in range(first, self.total, self._settings.segment_frames):
                stop = min(start + self._settings.segment_frames, self.total)
                self._add_segment(range(start, stop), frames)

    def join(self) -> list[str]:
        """Put the video together; returns what it lacks, in sentences."""
        plan, folder, time = self._plan, self._workspace.path, self._time
        start, end = time.audio
        file, limits = Path(self._spec.driving), self._settings.limits()
        with self._workspace.owned():
            return join(
                [folder / segment_name(n) for n in range(len(self._checkpoint.segments))],
                folder / VIDEO,
                time.pts,
                plan.driving.time_base,
                rate=time.rate,
                sound=Sound(file, start, end, limits, time.holes),
                metadata=provenance(plan.generator),
                check=self._watch.check,
            )

    def _add_segment(
        self,
        numbers: range,
        frames: Iterator[tuple[Rendered, NDArray[np.uint8] | None]],
    ) -> None:
        """Take the frames of a segment, write them, and make them count."""
        workspace = self._workspace
        path = workspace.path / segment_name(len(self._checkpoint.segments))
        with workspace.owned():
            # The order matters: a segment counts once a checkpoint with its hash is on disk.
            state = self._write(path, numbers, frames)
            self._checkpoint = self._checkpoint.after(path, state)
            save_checkpoint(workspace, self._checkpoint)

    def _write(
        self,
        path: Path,
        numbers: range,
        frames: Iterator[tuple[Rendered, NDArray[np.uint8] | None]],
    ) -> RolloutState:
        driving = self._plan.driving
        width, height = self.composer.output_size
        base, rate = driving.time_base, driving.rate
        with VideoWriter(path, width=width, height=height, time_base=base, rate=rate) as writer:
            for number in numbers:
                (picture, state), shown = next(frames)
                frame = self.composer.compose(fit_size(picture, self._spec.size), shown)
                writer.write(frame, self._time.pts[number])
                self._preview.offer(frame)
                self._watch.advance(1, last_stage=True)
        return state


def provenance(generator: PortraitGenerator) -> dict[str, str]:
    """Metadata of the result: that it is generated, and by what."""
    return {"comment": sentence(__version__, generator.name)}
