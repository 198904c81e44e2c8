"""The check of a job, in seconds, before it is queued or run: would it work and look well.

Both files are opened in a child process with limits, see `animator.sandbox`, so that one that
crashes a decoder, hangs or eats memory becomes a finding. The child measures, see
`animator.checks.media`; what it measured is judged in `animator.checks.findings`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from animator.checks.findings import judge
from animator.checks.report import (
    CheckReport,
    Crop,
    DrivingFacts,
    Face,
    Finding,
    JobEstimate,
    SampledFrame,
    SourceFacts,
    Subject,
)
from animator.errors import CODES, AnimatorError
from animator.faces.framing import FINE_FROM
from animator.files.local import check_location, quoted
from animator.sandbox import Ended, Message, SandboxLimits, run_limited
from animator.settings import Settings, has_nvidia_driver
from animator.spec import JobSpec
from animator.values import Location
from animator.weights.subjects import SubjectKind, check_options, check_weights

__all__ = ["CheckReport", "DrivingFacts", "JobEstimate", "Finding", "SourceFacts", "check_job"]

MEDIA_TARGET = "animator.checks.media:look"
SPEED_TARGET = "animator.checks.speed:measure"
FRAMES = 24
"""How many frames of the driving video are looked at."""
_SUBJECTS: tuple[Subject, ...] = ("source", "driving")
_SAMPLING_SHARE = 0.3
"""Share of the time that may go into looking at frames; the rest is for opening the files, and for
a frame that takes long."""
_SPEED_SECONDS = 60.0
_CONVERT = "Convert it to a common format, or use another file."
_ADVICE = {
    "no_face": "Use a picture that shows a face from the front.",
    "face_not_found": "Choose another --face, or leave it out.",
    "no_frames": "Choose another part with --start and --end.",
    "no_video_stream": "Use a file with moving pictures.",
    "too_large": "Use a smaller version of it.",
    "unreadable_image": _CONVERT,
    "unreadable_video": _CONVERT,
    "unreadable_motion": "Save the motion again, or use the video.",
    "unsupported_format": "Give the media file itself.",
}
"""What to do about what an input fails with."""
_ERRORS = {"crashed": "check_crashed", "timeout": "check_timeout", "memory": "out_of_memory"}


@dataclass
class _Looked:
    """What the weights' header and the children have told."""

    kind: SubjectKind = "face"
    source: SourceFacts | None = None
    driving: DrivingFacts | None = None
    findings: list[Finding] = field(default_factory=list)


def check_job(
    spec: JobSpec,
    settings: Settings,
    *,
    estimate: bool = False,
    media_target: str = MEDIA_TARGET,
) -> CheckReport:
    """Look at both inputs of a job and say what would come of it.

    Whatever is wrong is a finding; nothing is raised for it.

    Args:
        spec: the job; its output is not looked at.
        settings: limits, and what `auto` means.
        estimate: whether to load the networks, too, and time a few frames.
        media_target: what runs in the child that opens the files.
    """
    began = time.monotonic()
    spec = settings.apply_to(spec)
    # Look: at the weights' header here, at both files in a child.
    looked = _Looked()
    looked.kind = _check_weights(spec, settings, looked)
    deadline = time.monotonic() + settings.check_seconds
    _look(spec, settings, media_target, looked, deadline)
    # Judge what was seen; what another detector might find is no error.
    sure = _same_detector(spec, settings)
    looked.findings += judge(spec, looked.source, looked.driving, sure=sure)
    for name in list(spec.drivings)[1:]:
        own = spec.of_driving(name)
        looked.findings += _of_another(own, settings, media_target, deadline, sure=sure)
    if not sure:
        looked.findings = [_doubted(finding) for finding in looked.findings]
    # Only a job that would work is worth the time of an estimate.
    needs = None
    if estimate and not any(finding.level == "error" for finding in looked.findings):
        needs = _estimate(spec, settings, looked)
    return CheckReport(
        looked.source,
        looked.driving,
        needs,
        ordered(looked.findings),
        round(time.monotonic() - began, 2),
    )


def _same_detector(spec: JobSpec, settings: Settings) -> bool:
    """Whether the job will look for faces with dlib, as the check does, as far as can be told."""
    if spec.detector != "auto":
        return spec.detector == "dlib"
    # The workers of a shared queue may have what this machine has not.
    elsewhere = settings.broker_url is not None
    return spec.device == "cpu" or not (elsewhere or has_nvidia_driver())


def _doubted(finding: Finding) -> Finding:
    """What dlib cannot do, another detector may be able to do."""
    if finding.code in ("no_face", "face_not_found", "detector_unavailable"):
        return replace(finding, level="warning")
    return finding


def ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes."""
    return tuple(
        sorted(findings, key=lambda finding: ("error", "warning", "note").index(finding.level))
    )


def _check_weights(spec: JobSpec, settings: Settings, looked: _Looked) -> SubjectKind:
    """What the weights animate; where that cannot be told, the files are looked at for faces."""
    kind: SubjectKind = "face"
    try:
        kind = check_weights(spec.weights, settings)
        if spec.detector == settings.detector:  # which may be of the other kind's
            spec = replace(spec, detector="auto")
        check_options(spec, kind)
    except AnimatorError as error:
        looked.findings.append(Finding("error", error.code, error.message))
    return kind


def _of_another(
    spec: JobSpec, settings: Settings, target: str, deadline: float, *, sure: bool
) -> list[Finding]:
    """What is found in another driving file than the first; each sentence says which it is."""
    looked = _Looked()
    _look(spec, settings, target, looked, deadline, ("driving",))
    findings = looked.findings + judge(spec, None, looked.driving, sure=sure)
    # What is to be said of the job is said already.
    return [
        replace(one, message=f"{quoted(spec.driving)}: {one.message}")
        for one in findings
        if one.about == "driving"
    ]


def _look(
    spec: JobSpec,
    settings: Settings,
    target: str,
    looked: _Looked,
    deadline: float,
    subjects: tuple[Subject, ...] = _SUBJECTS,
) -> None:
    """Have the files looked at; after the death of a child, another one goes on with the next."""
    todo = [name for name in subjects if _can_be_opened(spec, name, settings, looked)]
    while todo:
        seconds = max(deadline - time.monotonic(), 1.0)
        task = {
            "spec": spec.to_json(),
            "limits": asdict(settings.limits()),
            "subjects": todo,
            "kind": looked.kind,
            "frames": FRAMES,
            "seconds": _SAMPLING_SHARE * seconds,
        }
        limits = SandboxLimits(seconds, settings.check_memory_mb)
        ended = run_limited(target, task, limits)
        done = [name for name in todo if _take(name, ended, looked)]
        todo = todo[len(done) :]
        if todo:
            looked.findings.append(_death(ended, todo.pop(0)))


def _can_be_opened(spec: JobSpec, name: Subject, settings: Settings, looked: _Looked) -> bool:
    location: Location = getattr(spec, name)
    try:
        check_location(location, settings)
    except AnimatorError as error:
        looked.findings.append(Finding("error", error.code, error.message, about=name))
        return False
    if location.is_url:
        # What is elsewhere is fetched, and looked at, by the worker that gets the job.
        message = "It lies elsewhere and was not looked at."
        looked.findings.append(Finding("note", "remote_input", message, about=name))
        return False
    return True


def _take(name: Subject, ended: Ended, looked: _Looked) -> bool:
    """Note what the child told of one input; false if that is nothing, or nonsense."""
    for message in ended.messages:
        if message.get("about") != name:
            continue
        try:
            if "code" in message:
                looked.findings.append(_failure(name, message))
            elif name == "source":
                looked.source = _source(message["facts"])
            else:
                looked.driving = _driving(message["facts"])
        except (KeyError, TypeError, ValueError):
            return False
        return True
    return False


def _failure(name: Subject, message: Message) -> Finding:
    code, sentence = message["code"], message["message"]
    if code not in CODES or not isinstance(sentence, str):
        raise ValueError("no finding")
    return Finding("error", code, sentence, _ADVICE.get(code, ""), name)


def _death(ended: Ended, name: Subject) -> Finding:
    """The finding of a child that ended before it had told of an input."""
    code = _ERRORS.get(ended.how, "check_crashed")
    reason = ended.reason or "gave an answer that makes no sense"
    what = "picture" if name == "source" else "driving video"
    return Finding(
        "error",
        code,
        f"The process that looked at the {what} {reason}.",
        "The file is damaged, extreme, or made to do harm; convert it, or use another one.",
        name,
    )


def _face(values: Mapping[str, Any]) -> Face:
    return Face(**{**values, "crop": Crop(**values["crop"])})


def _source(facts: Mapping[str, Any]) -> SourceFacts:
    face = None if facts["face"] is None else _face(facts["face"])
    changed = {"face": face, "notes": tuple(facts["notes"])}
    return SourceFacts(**{**facts, **changed})


def _driving(facts: Mapping[str, Any]) -> DrivingFacts:
    samples = tuple(
        SampledFrame(
            **{**sample, "face": None if sample["face"] is None else _face(sample["face"])}
        )
        for sample in facts["samples"]
    )
    crop = None if facts["crop"] is None else Crop(**facts["crop"])
    faults, note = tuple(map(str, facts["faults"])), facts["sound_note"]
    sound_note = None if note is None else str(note)
    made = {
        "samples": samples,
        "crop": crop,
        "notes": tuple(facts["notes"]),
        "faults": faults,
        "sound_note": sound_note,
    }
    return DrivingFacts(**{**facts, **made})


def _estimate(spec: JobSpec, settings: Settings, looked: _Looked) -> JobEstimate | None:
    """What the job would need; failures to tell become findings."""
    driving, source = looked.driving, looked.source
    if driving is None or driving.frames is None:
        return None
    if source is not None and source.video and source.frames is None:
        return None
    face = None if looked.source is None else looked.source.face
    # Have the networks loaded and timed; they are not hostile, so the child is trusted.
    task = {
        "spec": spec.to_json(),
        "settings": settings.to_environment(),
        "face": FINE_FROM if face is None else face.crop.side,
        "asked": time.time(),
    }
    limits = SandboxLimits(_SPEED_SECONDS, memory_mb=None)
    ended = run_limited(SPEED_TARGET, task, limits, trusted=True)
    told = next(iter(ended.messages), {})
    # What went wrong is a finding, too.
    if "code" in told:
        looked.findings.append(Finding("error", told["code"], told["message"]))
        return None
    if not told:
        message = f"No estimate: the process that timed the networks {ended.reason}."
        looked.findings.append(Finding("note", "no_estimate", message))
        return None
    # Of several faces each is rendered.
    faces = 1
    if spec.faces.several and looked.source is not None:
        faces = len(spec.faces.numbers(looked.source.faces))
    # From times a frame to the time of the job; all in seconds.
    share = driving.coverage[0] if spec.missing_face == "skip" else 1.0
    frames, length = driving.frames, driving.duration
    if source is not None and source.frames is not None:  # a video, whose times the result has
        frames, length, share = source.frames, source.duration, 1.0
    frames = max(round(frames * share), 1)
    if spec.rate is not None and length is not None:
        frames = max(round(length * share * spec.rate), 1)
    stages = {
        "decode": driving.decode_seconds,
        "landmarks": driving.landmark_seconds or 0.0,
        "generate": told["step"] * faces,
    }
    seconds = told["load"] + driving.frames * (stages["decode"] + stages["landmarks"])
    if source is not None and source.frames is not None:
        seconds += source.frames * source.frame_seconds
    return JobEstimate(
        seconds=round(seconds + frames * stages["generate"], 1),
        memory_mb=round(told["memory_mb"] + driving.memory_mb),
        frames=frames,
        frame_seconds={name: round(value, 5) for name, value in stages.items()},
        device=told["device"],
    )
