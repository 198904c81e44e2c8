"""One sheet that shows how the networks come to one frame of a job."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from animator.animation.explain.sheet import Insides, draw
from animator.animation.faces.moving import moves
from animator.animation.inputs import open_inputs
from animator.animation.kinds import plan_job
from animator.animation.plan import JobPlan
from animator.animation.render import provenance
from animator.errors import AnimatorError
from animator.faces.crop import Part
from animator.files.local import SHEET_SUFFIXES, check_suffix
from animator.files.output import check_output
from animator.files.unchanged import unchanged
from animator.media.decode import MediaLimits
from animator.media.stills import write_picture
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import OnProgress, Watch, coded_memory_errors
from animator.weights.subjects import fitting
from gfla import pictures


@dataclass(frozen=True)
class Explained:
    """What a finished sheet is of.

    Attributes:
        output: absolute path of the sheet.
        frame: number of the frame in the result, from 0.
        frames: how many the result has.
        weights: which weights rendered it.
    """

    output: str
    frame: int
    frames: int
    weights: str


def explain(
    spec: JobSpec,
    frame: int | None = None,
    *,
    settings: Settings,
    report: OnProgress = lambda progress: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Explained:
    """Draw how one frame of a job comes about.

    The job runs as `animator.animation.pipeline.animate` would run it, up to the frame.

    Args:
        spec: the job; its output is the sheet, .png or .jpg. Its output mode does not matter: the
            sheet shows the face square.
        frame: which frame of the result, from 0; None is the one whose landmarks are furthest from
            the source's, where there is most to see.
        settings: as for `animate`.
        report: called with the progress, about ten times a second.
        should_stop: polled after every frame; once true, nothing of the output is left.

    Raises:
        AnimatorError: invalid_option for a frame that the result does not have or another kind of
            output; those of `animate`.
        JobCancelled: if ``should_stop`` said so.
    """
    # Refuse what cannot be drawn or written before anything is loaded.
    check_suffix(spec.output, SHEET_SUFFIXES)
    if frame is not None and frame < 0:
        raise AnimatorError("invalid_option", f"frame is {frame}; frames are counted from 0.")
    check_output(spec.output)
    watch = Watch(report, should_stop)
    with coded_memory_errors():
        with watch.stage("load"):
            inputs = open_inputs(spec, settings)
            spec = fitting(spec, inputs.model.generator.subject, settings)
    if moves(spec, settings.limits()):
        message = "A sheet is of a portrait, and the source is a video; give --source-motion still."
        raise AnimatorError("invalid_option", message)
    with coded_memory_errors(), unchanged(inputs.files):
        plan = plan_job(spec, inputs, settings, watch)
        # The frame, which is known to exist only once the driving video was followed.
        number = furthest_frame(plan) if frame is None else frame
        if number >= len(plan.kept):
            message = (
                f"frame is {number}; the result has {len(plan.kept)} frames, "
                f"0 to {len(plan.kept) - 1}."
            )
            raise AnimatorError("invalid_option", message)
        with watch.stage("generate", number + 1):
            insides = look_inside(spec, plan, number, settings.limits(), watch)
    # The sheet.
    with watch.stage("draw"):
        sheet = draw(spec, plan, insides)
        watch.check()
        write_picture(Path(spec.output), sheet, provenance(plan.generator)["comment"])
    return Explained(spec.output, number, len(plan.kept), plan.generator.name)


def furthest_frame(plan: JobPlan) -> int:
    """The frame whose points are furthest from the source's."""
    return int(plan.face.distances().argmax())


def look_inside(
    spec: JobSpec, plan: JobPlan, number: int, limits: MediaLimits, watch: Watch
) -> Insides:
    """Roll out to a frame, and keep what the networks say of that one."""
    generator = plan.generator
    state = plan.start()
    for landmarks in plan.targets[:number]:
        state, _ = generator.step(state, landmarks)
        watch.advance(1)
    # What the frame refers to is in the state before the step; the one after has moved on.
    names = generator.references
    references = (*state.previous, state.source)
    with pictures.record_attention(generator.network) as recorded:
        _, prediction = generator.predict(state, plan.targets[number])
    watch.advance(1)
    kept = plan.kept[number : number + 1]
    lead = spec.of_driving(plan.face.driven_by)
    with closing(plan.face.driving_pictures(lead, kept, limits)) as frames:
        driving = next(frames)
    part: Part = plan.face.square(number)
    structure, _ = generator.guidance(plan.targets[number], state)
    return Insides(
        number,
        part.fit(pictures.to_picture(prediction.image[0]), *plan.face.extent(plan.size)),
        driving,
        structure[0].cpu(),
        {name: r.image[0] for name, r in zip(names, references, strict=True)},
        prediction,
        pictures.kernels_by_reference(recorded, prediction.flows),
    )
