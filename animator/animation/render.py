"""The frames of a job: rolled out, composed and encoded in segments, and joined to the video."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from itertools import repeat, tee
from pathlib import Path

from animator import __version__
from animator.animation.ahead import ahead
from animator.animation.composing.compose import Composer, GeneratedFace
from animator.animation.composing.view import FollowingView
from animator.animation.faces.figure import FacePlan
from animator.animation.faces.moving import moves, pictures_of
from animator.animation.faces.moving_render import Rendered, render_moving
from animator.animation.faces.plan import controls_of
from animator.animation.kinds import subject_of
from animator.animation.plan import Figure, JobPlan
from animator.animation.preview import Preview
from animator.animation.resampling import duration
from animator.animation.resume import (
    load_checkpoint,
    save_checkpoint,
    segment_coding,
    segment_name,
)
from animator.animation.rollout.clip import Clip
from animator.animation.rollout.generator import RolloutGenerator
from animator.errors import AnimatorError
from animator.faces.crop import Part, Square
from animator.files.local import quoted
from animator.formats import check_format
from animator.media.animation import write_animation
from animator.media.encode import VideoWriter
from animator.media.join import join
from animator.media.mp4 import Sound
from animator.media.pictures import pattern_of, write_pictures
from animator.media.sound_choice import choose_sound
from animator.provenance.mark import sentence
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from animator.workspace.attempt import Workspace
from gfla.arrays import Picture

VIDEO = "video.mp4"
"""What the whole video is called in the workspace."""
PICTURES = "pictures"
"""The folder there of a result that is pictures one by one."""
_DRIVING_AHEAD = 4  # driving pictures that wait to be shown beside the result
_SOURCE_AHEAD = 2  # pictures of a video that is the portrait

Frame = tuple[tuple[Rendered | None, ...], Picture, Picture | None]
"""The faces of a frame of the result, None where one is the source's own; the source's picture; and
the driving picture if it is shown."""


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
        composer: makes the frames of the result.
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
        beside = plan.driving.size if spec.shows == "side-by-side" else None
        self._view = subject_of(plan).view(spec, plan)
        self.composer = Composer(self._view, beside)
        # Only where that is asked for: what an unmoving driving video gives stays what it was.
        plain = controls_of(spec).plain
        self._still = [
            face.unmoved(plan.generator, plan.size) if face.still and not plain else None
            for face in plan.faces
        ]
        self._own = [face.own for face in plan.faces]
        self._checkpoint = load_checkpoint(workspace)
        self._time = plan.time
        self._format, self._coding = check_format(spec.output), segment_coding(spec)
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
        self._states = self._checkpoint.states(plan, first)
        # Driving pictures, if they are shown, and the clips that go on from the last states.
        engine = plan.model.engine(self._settings.slots)
        with ExitStack() as running:
            shown: Iterator[Picture | None] = repeat(None)
            if spec.shows == "side-by-side":
                limits = self._settings.limits()
                pictures = plan.face.driving_pictures(spec, plan.kept[first:], limits)
                shown = running.enter_context(ahead(pictures, _DRIVING_AHEAD, self._watch.check))
            clips = [
                running.enter_context(engine.open(state, priority, self._watch.check))
                for state in self._states
            ]
            sources, *own = tee(self._sources(running), 1 + len(clips))
            # Side by side: while one waits for its frame, the engine steps the others.
            rendered = zip(
                *(
                    self._rendered(clip, face, pictures)
                    for clip, face, pictures in zip(clips, plan.faces, own, strict=True)
                ),
                strict=True,
            )
            frames = zip(rendered, sources, shown, strict=False)
            # One segment after another; each is a place from which another attempt can go on.
            for start in range(first, self.total, self._settings.segment_frames):
                stop = min(start + self._settings.segment_frames, self.total)
                self._add_segment(range(start, stop), frames)

    def _sources(self, running: ExitStack) -> Iterator[Picture]:
        """The source's picture of each frame that is lacking."""
        face, spec, check = self._plan.face, self._spec, self._watch.check
        moving, shown = face.source.moving, face.shown
        if moving is None or shown is None:
            return repeat(face.source.picture)
        limits = self._settings.limits()
        pictures = pictures_of(spec.source, moving, shown[self.resumed :], limits)
        return running.enter_context(ahead(pictures, _SOURCE_AHEAD, check))

    def _rendered(
        self, clip: Clip, face: Figure, pictures: Iterator[Picture]
    ) -> Iterator[Rendered | None]:
        """What the networks make of a face in each frame that is lacking."""
        if not isinstance(face, FacePlan) or face.source.moving is None:
            return clip.render(face.targets[self.resumed :])
        side = self._plan.generator.inner_size(self._plan.size)
        return render_moving(clip, face, side, pictures, self.resumed)

    def place(self, number: int, face: Figure) -> Part:
        """Where a frame of the result shows what is animated of a face, in its pixels."""
        square: Part = face.square(number)
        if isinstance(self._view, FollowingView) and isinstance(square, Square):
            self._view.square = square
        return self.composer.place(square)

    def join(self) -> list[str]:
        """Put the video together; returns what it lacks, in sentences.

        Of a result that is no video, its frames without loss, of which `finish` makes it.
        """
        folder, time = self._workspace.path, self._time
        lacking = self._silent()
        with self._workspace.owned():
            return lacking + join(
                [folder / segment_name(n) for n in range(len(self._checkpoint.segments))],
                folder / VIDEO,
                time.pts,
                time.time_base,
                rate=time.rate,
                sound=self._sound(),
                metadata=provenance(self._plan.generator),
                check=self._watch.check,
                muxer=self._format.muxer if self._format.kind == "video" else "mp4",
            )

    def _silent(self) -> list[str]:
        """That there is no sound although that of the source was asked for, in a sentence."""
        if self._spec.audio != "source" or self._format.kind != "video":
            return []
        choice = choose_sound(Path(self._spec.source), self._settings.limits())
        if choice.index is not None:
            return []
        return [choice.note or "The source video has no sound, so the result has none."]

    def finish(self) -> str:
        """Make the result of the joined video; returns its name in the workspace."""
        folder, time, kind = self._workspace.path, self._time, self._format
        video, comment = folder / VIDEO, provenance(self._plan.generator)["comment"]
        check = self._watch.check
        if kind.kind == "video":
            return VIDEO
        with self._workspace.owned():
            if kind.kind == "pictures":
                pattern = pattern_of(self._spec.output)
                write_pictures(video, folder / PICTURES, pattern, comment=comment, check=check)
                return PICTURES
            name = f"result.{kind.name}"
            write_animation(
                video, folder / name, kind, time.pts, time.time_base,
                rate=time.rate, crf=self._spec.crf, comment=comment, check=check,
            )  # fmt: skip
            return name

    def _sound(self) -> Sound | None:
        spec, time, limits = self._spec, self._time, self._settings.limits()
        moving, driving = self._plan.source.moving, self._plan.driving
        if spec.audio == "none" or self._format.kind != "video":
            return None
        if spec.audio_file is not None:
            return Sound(spec.audio_file.path, None, duration(time), limits)
        if spec.audio == "source":
            begins = Fraction(0) if moving is None else moving.track.audio[0] or Fraction(0)
            return Sound(Path(spec.source), begins or None, begins + duration(time), limits)
        if not driving.pictures:
            return None
        start, end = time.audio
        if moving is not None:
            # The result has the source's times: the sound ends with whichever ends earlier.
            start, last = driving.audio
            ends = (start or 0) + duration(time)
            end = ends if last is None else min(last, ends)
        lead = spec.drivings[self._plan.face.driven_by]
        return Sound(Path(lead), start, end, limits, time.holes)

    def _add_segment(
        self,
        numbers: range,
        frames: Iterator[Frame],
    ) -> None:
        """Take the frames of a segment, write them, and make them count."""
        workspace = self._workspace
        path = workspace.path / segment_name(len(self._checkpoint.segments))
        with workspace.owned():
            # The order matters: a segment counts once a checkpoint with its hash is on disk.
            self._write(path, numbers, frames)
            self._checkpoint = self._checkpoint.after(path, self._states, self._plan)
            save_checkpoint(workspace, self._checkpoint)

    def _write(
        self,
        path: Path,
        numbers: range,
        frames: Iterator[Frame],
    ) -> None:
        width, height = self.composer.output_size
        plan = self._plan
        with VideoWriter(
            path, width=width, height=height, time_base=self._time.time_base,
            rate=self._time.average, coding=self._coding,
        ) as writer:  # fmt: skip
            for number in numbers:
                rendered, source, shown = next(frames)
                self.place(number, plan.face)
                faces = [
                    # What never moves loses nothing to the networks.
                    GeneratedFace(
                        one[0] if still is None else still,
                        face.square(number),
                        face.motion(plan.generator, number, own, one[1]),
                    )
                    for one, still, face, own in zip(
                        rendered, self._still, plan.faces, self._own, strict=True
                    )
                    if one is not None
                ]
                frame = self.composer.compose(source, faces, shown)
                for index, one in enumerate(rendered):
                    if one is not None:
                        self._states[index] = one[1]
                writer.write(frame, self._time.pts[number])
                self._preview.offer(frame)
                self._watch.advance(1, last_stage=True)


def check_sound(spec: JobSpec, settings: Settings) -> None:
    """Refuse a file whose sound is wanted and that has none; a video that is the portrait may.

    Raises:
        AnimatorError: `no_audio`, and those of `animator.media.container.open_media`.
    """
    if spec.audio == "source" and not moves(replace(spec, source_motion="keep"), settings.limits()):
        message = f"{quoted(spec.source)} is a picture, so that it has no sound."
        raise AnimatorError("no_audio", message)
    if spec.audio_file is None:
        return
    choice = choose_sound(spec.audio_file.path, settings.limits())
    if choice.index is None:
        message = choice.note or f"{quoted(spec.audio_file)} has no sound."
        raise AnimatorError("no_audio", message)


def provenance(generator: RolloutGenerator) -> dict[str, str]:
    """Metadata of the result: that it is generated, and by what."""
    return {"comment": sentence(__version__, generator.name)}
