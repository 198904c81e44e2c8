"""Findings about a job's inputs: what would fail, be poor, or should be known.

The thresholds come from footage, see `docs/check.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from animator.checks.report import (
    JOINTS,
    MOTION,
    VIEWS,
    DrivingFacts,
    Face,
    Finding,
    Level,
    SourceFacts,
    Subject,
)
from animator.errors import AnimatorError
from animator.faces.framing import face_side
from animator.media.notes import LARGEST_SIDE, is_reduced, sentence
from animator.spec import JobSpec

CODES: dict[str, str] = {
    "other_detector": "The job may use another detector than the check, which finds more faces.",
    "several_faces": "An input shows several faces.",
    "face_missing": "Frames of the driving video show no face.",
    "face_jumps": "The driving video has cuts, or its face changes its place or size at once.",
    "small_face": "A face has few pixels.",
    "turned_face": "A face is turned far to the side.",
    "leaning_face": "The source's head leans far, or the picture lies on its side.",
    "pose_differs": "No driving frame that was looked at has a pose near the source's.",
    "blurred_face": "A face is blurred.",
    "dark_face": "A face is very dark.",
    "eyes_closed": "The source's eyes are closed.",
    "mouth_open": "The source's mouth is wide open.",
    "cut_off_face": "A good part of the square around a face lies outside the picture.",
    "little_motion": "The driving face hardly moves.",
    "variable_rate": "The driving frames come at uneven times.",
    "no_sound": "The driving video has no sound, so the result has none.",
    "sound_changed": "The sound of the driving video is left out, or another track is heard.",
    "damaged_video": "The driving video is damaged or incomplete; the result lacks its frames.",
    "length_unknown": "The length of the driving video could not be told.",
    "partly_looked_at": "There was no time to look at as many frames as wanted.",
    "no_estimate": "Time and memory could not be estimated.",
    "source_video": "The source is a video, whose frames are all animated.",
    "reduced_picture": "The result shows the source in fewer pixels than it has.",
    "hdr": "An input is HDR and is taken as SDR.",
    "broken_profile": "A colour profile makes no sense.",
    "remote_input": "An input lies elsewhere and was not looked at.",
}
"""What each code of a warning or note means; errors have those of `animator.errors`."""

MANY_MISSING = 0.1
"""Share of frames without a face from which a result is poor."""
SMALL_SOURCE = 0.5
"""Side of the source's crop, in units of the result's, below which it is enlarged too much."""
SMALL_DRIVING = 48.0
"""Greater extent of a driving face in pixels; the landmarks of smaller ones jitter."""
TURNED = 0.4
"""`Face.turn` of about 35 degrees; landmarks beyond it are unsure, and half a face is hidden."""
POSE_APART = 0.3
"""Least difference of `Face.turn` between source and driving from which the result distorts."""
LEANING = 35.0
BLURRED = 15.0
DARK = 40.0
CLOSED = 0.17
OPEN = 0.4
INSIDE = 0.75
JUMP = 1.0
"""Change of place, in faces, or of size, in octaves, between two samples in which heads do not."""
STILL = 0.02


def judge(
    spec: JobSpec, source: SourceFacts | None, driving: DrivingFacts | None, *, sure: bool = True
) -> list[Finding]:
    """The findings of what was measured.

    Args:
        spec: the job.
        source: None if there is nothing of it.
        driving: None if there is nothing of it.
        sure: whether the job's detector is the one of the check, so that a face that was not
            found means failure.
    """
    findings: list[Finding] = []
    if source is not None:
        if source.face is not None:
            findings += _of_source(spec, source, source.face)
        findings += _of_notes("source", "The picture", source.notes)
    if driving is not None:
        findings += _of_notes("driving", "The driving video", driving.notes)
        if driving.wanted:  # in which somebody was looked for
            findings += _of_coverage(spec, driving, sure)
            findings += _of_driving_faces(driving)
        findings += _of_stream(driving)
    if source is not None and source.face is not None and driving is not None and driving.seen:
        findings += _of_both(source.face, driving)
    return findings


def _finding(
    level: Level, code: str, about: Subject | None, message: str, advice: str = ""
) -> Finding:
    return Finding(level, code, message, advice, about or "")


def _of_notes(about: Subject, subject: str, codes: tuple[str, ...]) -> Iterator[Finding]:
    for code in codes:
        yield _finding("note", code, about, sentence(subject, code))


def _of_source(spec: JobSpec, source: SourceFacts, face: Face) -> Iterator[Finding]:
    # Which face, and is it large enough?
    if source.video:
        frames = "" if source.frames is None else f" of {source.frames} frames"
        kept = spec.source_motion == "keep"
        what = "is added to its own" if kept else "is put in the place of its own"
        message = f"The source is a video{frames}; the driving motion {what}."
        advice = "Give --source-motion still to animate its first picture."
        yield _finding("note", "source_video", "source", message, advice)
    if spec.faces.several:
        yield _moving(spec, source)
    elif source.faces > 1:
        wanted = spec.face_of("source")
        chosen = "the largest" if wanted == "largest" else f"number {wanted}"
        message = f"The picture shows {source.faces} faces; {chosen} is taken."
        yield _finding(
            "note",
            "several_faces",
            "source",
            message,
            "Choose with --face N, or --source-face N for the picture alone.",
        )
    shown = face_side(spec.size, spec.margin, face.crop.side)
    if face.crop.side < SMALL_SOURCE * shown:
        message = (
            f"The square around the source's face has {face.crop.side} pixels and is enlarged "
            f"to {shown}."
        )
        yield _finding(
            "warning", "small_face", "source", message, "Use a larger picture or a smaller --size."
        )
    if is_reduced(spec.shows, source.width, source.height):
        message = (
            f"The picture has {source.width} x {source.height} pixels; the result shows it with "
            f"{LARGEST_SIDE} at its longer side."
        )
        yield _finding("note", "reduced_picture", "source", message)
    # Its pose and expression, which everything that moves starts from.
    if abs(face.turn) > TURNED:
        message = f"The source's face is turned far to the {_side(face.turn)}."
        yield _finding("warning", "turned_face", "source", message, "Use a picture from the front.")
    if abs(face.lean) > LEANING:
        message = f"The source's head leans by {abs(face.lean):.0f} degrees."
        yield _finding("warning", "leaning_face", "source", message, "Turn the picture upright.")
    if face.eyes < CLOSED:
        message = "The source's eyes seem to be closed, or nearly so."
        advice = "Use a picture with open eyes if they are; what is not shown is made up."
        yield _finding("note", "eyes_closed", "source", message, advice)
    if face.mouth > OPEN:
        message = "The source's mouth is wide open."
        advice = "Use a picture with a closed mouth, or --motion absolute."
        yield _finding("warning", "mouth_open", "source", message, advice)
    # What surrounds it, and how well it is seen.
    if face.inside < INSIDE:
        message = (
            f"{1 - face.inside:.0%} of the square around the source's face lies outside the "
            "picture, whose border is repeated there."
        )
        yield _finding(
            "warning", "cut_off_face", "source", message, "Use a picture with room around the head."
        )
    if face.sharpness is not None and face.brightness is not None:
        yield from _of_light(face.sharpness, face.brightness, "source", "The source's face")


def _moving(spec: JobSpec, source: SourceFacts) -> Finding:
    """Which of several faces move."""
    try:
        numbers = spec.faces.numbers(source.faces)
    except AnimatorError as error:
        return _finding("error", error.code, "source", error.message)
    there = "1 face" if source.faces == 1 else f"{source.faces} faces"
    which = ", ".join(map(str, numbers))
    message = f"The picture shows {there}; animated, counted from the left: {which}."
    return _finding("note", "several_faces", "source", message)


def _of_light(sharpness: float, brightness: float, about: Subject, what: str) -> Iterator[Finding]:
    if sharpness < BLURRED:
        message = f"{what} is blurred or of low quality."
        yield _finding("warning", "blurred_face", about, message, "Use a sharper one.")
    if brightness < DARK:
        message = f"{what} is very dark."
        yield _finding("warning", "dark_face", about, message, "Use a brighter one.")


def _side(turn: float) -> str:
    return "right" if turn > 0 else "left"


def _of_coverage(spec: JobSpec, driving: DrivingFacts, sure: bool) -> Iterator[Finding]:
    looked, seen = len(driving.samples), len(driving.seen)
    away = looked - seen
    if not sure:
        message = (
            "Faces were looked for with dlib; the job may use face-alignment, which also finds "
            "faces that are turned or covered."
        )
        yield _finding("note", "other_detector", None, message)
    if looked and not seen:
        level: Level = "error" if sure else "warning"
        message = f"None of the {looked} driving frames that were looked at shows a face."
        advice = "Use a video of a face, or another part of it with --start and --end."
        yield _finding(level, "no_face", "driving", message, advice)
        return
    if away:
        share, low, high = driving.coverage
        message = (
            f"{away} of {looked} driving frames that were looked at show no face "
            f"(95 % interval of all: {1 - high:.0%} to {1 - low:.0%})."
        )
        advice = "Choose a part with --start and --end, or another --missing-face."
        level = "warning" if 1 - share > MANY_MISSING else "note"
        code = "face_missing"
        if spec.missing_face == "fail":
            # A face that is followed is kept longer than one that is looked for anew.
            certain = sure and 1 - share > MANY_MISSING
            level, code = ("error", "face_lost") if certain else ("warning", "face_missing")
            advice = "Choose a part with --start and --end, or --missing-face hold."
        yield _finding(level, code, "driving", message, advice)


def _of_driving_faces(driving: DrivingFacts) -> Iterator[Finding]:
    faces = driving.seen
    if not faces:
        return
    # Which face, and is it large enough to follow?
    most = max(sample.faces for sample in driving.samples)
    if most > 1:
        message = f"The driving video shows {most} faces at once."
        advice = "Choose with --face N, or --driving-face N for the video alone, or crop it."
        yield _finding("note", "several_faces", "driving", message, advice)
    size = median(face.pixels for face in faces)
    if size < SMALL_DRIVING:
        message = f"The driving face is only {size:.0f} pixels large; its motion will jitter."
        yield _finding("warning", "small_face", "driving", message, "Use a closer or larger shot.")
    # How it is turned, and how it moves.
    turned = sum(abs(face.turn) > TURNED for face in faces)
    if turned > 0.1 * len(faces):
        message = f"The driving face is turned far to the side in {turned} of {len(faces)} frames."
        advice = "Use another part of the video, or one from the front."
        yield _finding("warning", "turned_face", "driving", message, advice)
    jumps = _jumps(driving)
    if jumps:
        from animator.faces.shots import cuts_sentence  # it brings OpenCV

        message = cuts_sentence(jumps, least=True)
        advice = "Choose one shot with --start and --end."
        yield _finding("warning", "face_jumps", "driving", message, advice)
    elif len(faces) > 3 and _motion(faces) < STILL:
        message = "The driving face hardly moves in the frames that were looked at."
        yield _finding("note", "little_motion", "driving", message)
    # Of a motion file there are no pictures.
    sharp = [face.sharpness for face in faces if face.sharpness is not None]
    bright = [face.brightness for face in faces if face.brightness is not None]
    if sharp and bright:
        yield from _of_light(median(sharp), median(bright), "driving", "The driving face")


def _jumps(driving: DrivingFacts) -> list[float]:
    """The times of samples of another shot than the last, or with a face elsewhere."""
    jumps: list[float] = []
    last: Face | None = None
    for sample in driving.samples:
        face = sample.face
        # Among several faces the check may have taken another one than the job would.
        moved = face is not None and last is not None and sample.faces == 1 and _apart(last, face)
        if sample.cut or moved > JUMP:
            jumps.append(sample.seconds)
        last = face or last
    return jumps


def _apart(one: Face, other: Face) -> float:
    size = max(one.pixels, other.pixels)
    across = (other.crop.x + other.crop.side / 2) - (one.crop.x + one.crop.side / 2)
    down = (other.crop.y + other.crop.side / 2) - (one.crop.y + one.crop.side / 2)
    growth = size / max(min(one.pixels, other.pixels), 1e-6)
    return max((across**2 + down**2) ** 0.5 / size, 2 * (growth - 1))


def _motion(faces: tuple[Face, ...]) -> float:
    """Greatest change of turn, mouth, eyes or place over the samples."""
    size = median(face.pixels for face in faces)
    values = (
        [face.turn for face in faces],
        [face.mouth for face in faces],
        [face.crop.x / size for face in faces],
        [face.crop.y / size for face in faces],
    )
    return max(max(of_all) - min(of_all) for of_all in values)


_SILENT = {
    MOTION: "A motion file",
    JOINTS: "A file of joints",
    VIEWS: "A file of views",
    "picture": "A picture",
}


def _of_stream(driving: DrivingFacts) -> Iterator[Finding]:
    if driving.variable_rate:
        message = "The driving frames come at uneven times; the result keeps them."
        yield _finding("note", "variable_rate", "driving", message)
    for fault in driving.faults:
        yield _finding("warning", "damaged_video", "driving", fault)
    if driving.sound_note is not None:
        yield _finding("warning", "sound_changed", "driving", driving.sound_note)
    elif not driving.has_audio:
        named = {
            MOTION: "A motion file",
            JOINTS: "A file of joints",
            VIEWS: "A file of views",
            "picture": "A picture",
        }
        what = named.get(driving.format, "The driving video")
        message = f"{what} has no sound, so the result has none."
        yield _finding("note", "no_sound", "driving", message)
    if driving.duration is None:
        message = "The length of the driving video could not be told."
        advice = "Give --end, or copy it into an MP4 file first."
        yield _finding("warning", "length_unknown", "driving", message, advice)
    looked = len(driving.samples)
    if looked < 0.75 * driving.wanted:
        until = driving.samples[-1].seconds if driving.samples else 0.0
        message = (
            f"There was time for {looked} frames instead of {driving.wanted}, "
            f"up to {until:.1f} s; more time is ANIMATOR_CHECK_SECONDS."
        )
        yield _finding("note", "partly_looked_at", "driving", message)


def _of_both(source: Face, driving: DrivingFacts) -> Iterator[Finding]:
    nearest = min(driving.seen, key=lambda face: abs(face.turn - source.turn))
    apart = abs(nearest.turn - source.turn)
    if apart > POSE_APART:
        message = (
            f"The source's face is turned by {_degrees(source.turn)} and the driving face at "
            f"nearest by {_degrees(nearest.turn)}, so poses are carried over wrongly."
        )
        advice = "Use a source or a driving video with a pose in common."
        yield _finding("warning", "pose_differs", None, message, advice)


def _degrees(turn: float) -> str:
    """About how far a head is turned; 0.5 is 45 degrees."""
    degrees = round(min(abs(turn) * 90, 90) / 5) * 5
    return f"about {degrees} degrees to the {_side(turn)}" if degrees else "0 degrees"
