"""A job from its specification to its video: the stages of this package, one after another.

    decode -> landmarks -> motion -> guidance -> rollout -> compose -> encode
                                            (-> extras, measures) -> mark (-> sign) -> publish

Two passes over the driving video. The first keeps its landmarks and timestamps, a few hundred bytes
a frame; the second renders frame by frame, and reads the driving pictures again only if the result
shows them. Nothing else grows with the length of the video.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from animator.animation.extras import write_extras
from animator.animation.faces.figure import FacePlan
from animator.animation.faces.plan import controls_of
from animator.animation.inputs import JobInputs, open_inputs
from animator.animation.kinds import fitting, plan_job, subject_of
from animator.animation.marking import mark_of
from animator.animation.plan import Figure, JobPlan
from animator.animation.render import PICTURES, VIDEO, SegmentRenderer, check_sound
from animator.animation.resume import load_plan, save_plan, segment_coding
from animator.animation.subject import Words
from animator.errors import AnimatorError, LeaseLost
from animator.faces.control import TRAINED
from animator.faces.shots import cuts_sentence
from animator.files.output import check_output, check_result
from animator.files.private import close_state_folder
from animator.files.unchanged import unchanged
from animator.formats import FORMATS
from animator.media.decode import probe
from animator.media.notes import is_reduced, sentence
from animator.moving_faces import Face
from animator.provenance.containers import embed_mark
from animator.provenance.signing import ResultSigner
from animator.record import Result
from animator.settings import Settings
from animator.spec import JobSpec, extra_files
from animator.watch import OnProgress, PreviewSink, Watch, coded_memory_errors
from animator.workspace.attempt import Workspace

Planner = Callable[[JobSpec, JobInputs, Settings, Watch], JobPlan]
"""Makes the plan of a job."""


def animate(
    spec: JobSpec,
    *,
    settings: Settings | None = None,
    report: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
    workspace: Workspace | None = None,
    priority: int = 0,
    may_publish: Callable[[], bool] = lambda: True,
    overwrite: bool = True,
    preview: PreviewSink | None = None,
    make_plan: Planner = plan_job,
) -> Result:
    """Animate one portrait with one driving video, or several faces of it with several.

    Args:
        spec: what, with what, to where and how.
        settings: what inputs may be at most, where state lies, how the networks run; by default as
            the environment says.
        report: called with the progress, about ten times a second.
        should_stop: polled after every frame; once true, nothing of the output is left, nor of
            what was asked for beside it.
        workspace: where segments are kept; what is in it already is not rendered again. It is
            left as it is, whatever happens. None is a folder that is always removed.
        priority: of the job's frames among those of other jobs in this process, higher first.
        may_publish: asked just before the output gets its name.
        overwrite: whether the output replaces a file that is there in the end. If not, the video
            gets a free name like it and the error, output_exists, says which; with a workspace it
            is the workspace's affair.
        preview: takes the newest frame as a small JPEG, once a second at most and only while it
            says that it wants one.
        make_plan: makes the plan where there is none.

    Returns:
        What was made. The output is in place, whole, and so is what was asked for beside it.

    Raises:
        AnimatorError: with the code of whatever stood in the way.
        JobCancelled: if ``should_stop`` said so.
        LeaseLost: if the workspace was taken over, or ``may_publish`` said no.
    """
    # What cannot be written is told before anything is loaded.
    segment_coding(spec)
    check_result(spec.output)
    for path in extra_files(os.path.realpath(spec.output), spec.extras).values():
        check_output(path)
    folder = workspace or Workspace.temporary(spec.output, replaces=overwrite)
    try:
        settings = settings or Settings.from_environment()
        close_state_folder(settings.state_dir)
        watch = Watch(report, should_stop, preview)
        return _animate(spec, settings, watch, folder, priority, may_publish, make_plan)
    except AnimatorError as error:
        if workspace is not None or error.code not in ("output_exists", "signing_failed"):
            raise
        raise _kept_beside(spec, folder, error) from error
    finally:
        if workspace is None:
            folder.remove()


def _kept_beside(spec: JobSpec, folder: Workspace, error: AnimatorError) -> AnimatorError:
    """The error that names where the video is, of a folder that nobody else goes on from."""
    place = str(folder.publish_beside(_made(folder)))
    if error.code == "signing_failed":
        message = f"{error.message} The video without a signature is {place!r}."
    else:
        message = (
            f"{spec.output!r} appeared meanwhile and was not replaced; the video is {place!r}."
        )
    return AnimatorError(error.code, message, retryable=error.retryable)


def _animate(
    spec: JobSpec,
    settings: Settings,
    watch: Watch,
    workspace: Workspace,
    priority: int,
    may_publish: Callable[[], bool],
    make_plan: Planner,
) -> Result:
    began = time.monotonic()
    with coded_memory_errors():
        with watch.stage("load"):
            check_sound(spec, settings)
            signer = ResultSigner.of(settings)  # what cannot sign is told before a frame is made
            inputs = open_inputs(spec, settings)
            spec = fitting(spec, inputs.model.generator.subject, settings)
    with coded_memory_errors(), unchanged(inputs.files):
        # Render the segments that are lacking, and put the video together.
        plan = _planned(spec, settings, watch, workspace, inputs, make_plan)
        notes = _notes(spec, plan, settings)
        renderer = SegmentRenderer(spec, plan, workspace, settings, watch)
        with watch.stage("generate", renderer.total, renderer.resumed):
            renderer.render(priority)
            lacking = renderer.join()
            made = renderer.finish()
        # What is made of the finished frames.
        beside = write_extras(spec, plan, workspace, VIDEO, watch) if spec.extras else {}
        quality = _measured(spec, plan, renderer, workspace, watch)
    with workspace.owned():
        lacking += _marked(spec, plan, workspace.path / made, signer, watch)
    # The lease is asked for last: from here to the new name little time passes, and the fencing of
    # the workspace covers that.
    if not may_publish():
        raise LeaseLost("the job is not this attempt's any more")
    workspace.publish(made, beside)
    seconds = time.monotonic() - began
    frames, resumed = renderer.total, renderer.resumed
    return Result(
        output=spec.output,
        frames=frames,
        seconds=round(seconds, 3),
        fps=round((frames - resumed) / seconds, 2),
        timings=watch.timings,
        warnings=tuple(
            dict.fromkeys((*_warnings(spec, plan, notes, renderer.composer.output_size), *lacking))
        ),
        missing=plan.face.missing,
        hashes=plan.hashes | {"weights": plan.generator.sha256},
        weights=plan.generator.name,
        resumed=resumed,
        cached=plan.cached,
        quality=quality,
    )


def _made(workspace: Workspace) -> str:
    """The result that lies in a workspace."""
    names = (PICTURES, *(f"result.{kind.name}" for kind in FORMATS.values()))
    return next((name for name in names if (workspace.path / name).exists()), VIDEO)


def _planned(
    spec: JobSpec,
    settings: Settings,
    watch: Watch,
    workspace: Workspace,
    inputs: JobInputs,
    make_plan: Planner,
) -> JobPlan:
    """The plan that an earlier attempt has left, or a new one, which is kept for a later one."""
    with watch.stage("load"):
        plan = load_plan(workspace, spec, settings, inputs)
    if plan is None:
        plan = make_plan(spec, inputs, settings, watch)
        save_plan(workspace, spec, settings, plan)
    return plan


def _marked(
    spec: JobSpec, plan: JobPlan, video: Path, signer: ResultSigner | None, watch: Watch
) -> list[str]:
    """Mark the finished video, and sign it where results are signed; what it lacks, in sentences.

    Before it gets its name: nobody ever sees it without.
    """
    mark = mark_of(spec, plan)
    embed_mark(video, mark)
    if signer is None:
        return []
    with watch.stage("sign"):
        return signer.sign(video, mark)


def _measured(
    spec: JobSpec, plan: JobPlan, renderer: SegmentRenderer, workspace: Workspace, watch: Watch
) -> dict[str, float]:
    if not spec.measure:
        return {}
    with watch.stage("measure"), workspace.owned():
        return subject_of(plan).measure(
            workspace.path / VIDEO,
            spec,
            plan,
            lambda number: renderer.place(number, plan.face),
            watch.check,
        )


def _source_name(plan: JobPlan) -> str:
    return "picture" if plan.source.moving is None else "source video"


def _of_source_video(spec: JobSpec, plan: JobPlan) -> Iterator[str]:
    """What a person should know of a portrait that is a video, where it is one."""
    if plan.source.moving is None or plan.face.shown is None:
        return
    track, away = plan.source.moving.track, int((~plan.source.moving.there).sum())
    for fault in track.faults:
        if fault not in plan.driving.faults:
            yield fault
    if track.cuts:
        seconds = [float(track.seconds[cut]) for cut in track.cuts]
        yield cuts_sentence(seconds).replace("driving video", "source video")
    if away:
        frames = "1 frame" if away == 1 else f"{away} frames"
        yield f"{frames} of the source video show no face; they are shown as they are."


def _notes(spec: JobSpec, plan: JobPlan, settings: Settings) -> dict[str, tuple[str, ...]]:
    """Codes of what is to be known of the pictures of each input, by what it is called."""
    notes = {_source_name(plan): plan.source.notes}
    for face in plan.faces:
        if face.driving.pictures:
            path = spec.drivings[face.driven_by]
            notes[_called(spec, plan, face)] = probe(path, settings.limits()).notes
    return notes


def _called(spec: JobSpec, plan: JobPlan, face: Figure) -> str:
    """What sentences call the file that moves a face."""
    if len(spec.drivings) == 1:
        return "driving video"
    numbers = sorted(one.number or 0 for one in plan.faces if one.driven_by == face.driven_by)
    if len(numbers) == 1:
        return f"driving video of face {numbers[0]}"
    return f"driving video of faces {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _warnings(
    spec: JobSpec,
    plan: JobPlan,
    notes: Mapping[str, tuple[str, ...]],
    output_size: tuple[int, int],
) -> Iterator[str]:
    for name, codes in notes.items():
        for code in codes:
            yield sentence(f"The {name}", code)
    height, width = plan.source.picture.shape[:2]
    if is_reduced(spec.shows, width, height):
        across, down = output_size
        size = f"{width} x {height}"
        shown = f"the result shows it in {across} x {down}"
        yield f"The {_source_name(plan)} has {size} pixels; {shown}."
    if spec.faces.several:
        there = "1 face" if plan.source.faces == 1 else f"{plan.source.faces} faces"
        moving = ", ".join(
            str(number) for number in sorted(face.number or 0 for face in plan.faces)
        )
        yield f"The picture shows {there}; from the left, those that move: {moving}."
    elif plan.source.faces > 1:
        words = subject_of(plan).words
        yield _choice(_source_name(plan), plan.source.faces, spec.face_of("source"), words)
    if plan.rate is not None and plan.rate != spec.rate:
        rate = float(plan.rate)
        yield f"A GIF shows at most {rate:g} frames a second; the result was made with as many."
    yield from _of_source_video(spec, plan)
    for face in sorted(plan.faces, key=lambda face: face.number or 0):
        yield from _warnings_of(spec, face, _called(spec, plan, face), subject_of(plan).words)


def _warnings_of(spec: JobSpec, face: Figure, called: str, words: Words) -> Iterator[str]:
    """What a person should know of one face and of what moves it."""
    driving, own = face.driving, f"Face {face.number}: " if face.number else ""
    if isinstance(face, FacePlan) and not driving.pictures and spec.driving_face is not None:
        yield "A motion file has one face, so the choice of a driving face made no difference."
    # Of a motion file it was chosen when that was made.
    if driving.pictures and driving.faces > 1:
        yield _choice(called, driving.faces, spec.face_of("driving"), words)
    if driving.cuts:
        seconds = driving.seconds
        cuts = [float(seconds[cut] - seconds[0]) for cut in driving.cuts]
        yield cuts_sentence(cuts).replace("driving video", called, 1)
    for fault in driving.faults:
        yield fault if called == "driving video" else f"The {called}: {fault}"
    if face.beyond:
        many = "1 frame" if face.beyond == 1 else f"{face.beyond} frames"
        turned = f"{own}In {many} the head would turn by more than {TRAINED:g} degrees"
        yield (
            f"{turned}, beyond what the networks know; --head 0.8 turns it less."
            if controls_of(spec).plain
            else f"{turned}; there it is held near that."
        )
    if face.missing:
        count = sum(last - first + 1 for first, last in face.missing)
        done = {"hold": "hold the last pose", "interpolate": "move on evenly"}
        what = done.get(spec.missing_face, "are left out")
        frames = "driving frames" if face.number is None else f"frames of the {called}"
        yield f"{count} {frames} show {words.nobody}; in the result they {what}."


def _choice(name: str, faces: int, wanted: Face, words: Words) -> str:
    chosen = "the largest" if wanted == "largest" else f"number {wanted} from the left"
    return f"The {name} shows {faces} {words.several}; {chosen} was used."
