"""The look at one uploaded file, taken in a child process: what it is, and whose face it shows.

Name and suffix of the file mean nothing here; what it is shows by its content.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from animator.animation.motion.file import begins_as_motion, read_motion
from animator.animation.motion.input import stick_figures
from animator.checks.findings import judge
from animator.checks.media import look_at_driving, measure_face
from animator.checks.motion import facts_of
from animator.checks.report import (
    MOTION,
    Crop,
    DrivingFacts,
    Finding,
    SeenFace,
    SourceFacts,
    UploadFacts,
)
from animator.errors import AnimatorError
from animator.faces.crop import face_square, resize, whole_square
from animator.faces.detectors.dlib import DlibDetector
from animator.faces.landmarks import Landmarks
from animator.faces.tracking import find_faces
from animator.files.local import open_file, quoted
from animator.media.brands import brands, is_avif, is_heif, is_sequence
from animator.media.container import refuse_scripts
from animator.media.decode import VideoReader
from animator.media.sampling import Sampler
from animator.media.stills import encode_picture, read_still
from animator.sandbox import Message, Send
from animator.settings import MediaLimits
from animator.spec import JobSpec
from animator.values import Location

Picture = npt.NDArray[np.uint8]

THUMBNAIL = 640
"""Longest side of a thumbnail in pixels."""
STILL = 960
"""Longest side of the still of a finished video in pixels."""
FRAMES = 6
"""How many frames of a video are looked at."""
_MOST_BYTES = 480_000  # of a JPEG, whose base64 has to fit into the child's answer
_QUALITIES = (82, 70, 55, 35, 10)
_SAMPLING_SHARE = 0.25  # of the time that the child has
_ONE_FRAME_SECONDS = 5.0
_ANY_LENGTH = 1 << 40  # how much of a video is used is the job's to say
_TOO_FEW_FRAMES = ("face_jumps", "little_motion")  # the check of a job looks at enough for these
_OTHERS = (b"<", b"%pdf", b"%!ps", b"#!", b"pk\x03\x04", b"{\\rtf", b"\x7felf", b"mz")
"""How texts, programs and archives begin, in lower case, which no decoder shall ever see."""

_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"BM", "bmp"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"\0\0\0\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\0\0\1\0", "ico"),
)
_VIDEOS = (
    (b"\x1a\x45\xdf\xa3", 0),
    (b"AVI ", 8),
    (b"FLV", 0),
    (b"0&\xb2u\x8ef\xcf\x11", 0),
    (b"OggS", 0),
    (b"\0\0\1\xba", 0),
    (b"ftyp", 4),
    (b"moov", 4),
    (b"mdat", 4),
    (b"\x06\x0e\x2b\x34", 0),
)
"""How videos begin, and where that stands: a file of these that cannot be read is damaged."""
_NAMES = {
    "asf": "asf",
    "apng": "apng",
    "avi": "avi",
    "avif": "avif",
    "dv": "dv",
    "flv": "flv",
    "gif": "gif",
    "h264": "h264",
    "hevc": "hevc",
    "ivf": "ivf",
    "m4v": "m4v",
    "mjpeg": "mjpeg",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "mpegvideo": "mpeg",
    "mxf": "mxf",
    "nut": "nut",
    "ogg": "ogg",
    "webp": "webp",
    "yuv4mpegpipe": "y4m",
}
"""What `animator.web.files.media_types` calls the containers of libav and Pillow."""


def look(task: Message, send: Send) -> None:
    """Send what the file is, or why it is refused.

    The task has "path", "limits" and "seconds". The answer has either "facts" and "thumbnail",
    which is base64 of a JPEG, or "code" and "message".
    """

    def answer(path: Path, limits: MediaLimits) -> Message:
        facts, picture = look_at(path, limits, _SAMPLING_SHARE * task["seconds"])
        return {"facts": asdict(facts), "thumbnail": _jpeg(picture, THUMBNAIL)}

    _tell(task, send, answer)


def still(task: Message, send: Send) -> None:
    """Send "still", base64 of a JPEG of the frame in the middle of a video, or "code"."""

    def answer(path: Path, limits: MediaLimits) -> Message:
        with VideoReader(path, limits=limits, forgiving=True) as reader:
            middle = float(reader.info.duration or 0) / 2
        return {"still": _jpeg(_frame_at(path, limits, middle), STILL)}

    _tell(task, send, answer)


def look_at(path: Path, limits: MediaLimits, seconds: float) -> tuple[UploadFacts, Picture]:
    """What a file is and shows, and the picture for its thumbnail, uint8 H W 3 RGB.

    Args:
        path: the file.
        limits: what is refused; a video may have any length.
        seconds: that looking at frames of a video may take.

    Raises:
        AnimatorError: `unsupported_format` for what is no picture, video or motion file, or one of
            a kind that is refused; `unreadable_motion`, `unreadable_image`, `unreadable_video`,
            `no_video_stream`, `no_frames`, `too_large`, `too_long`, `out_of_memory`, and those of
            `open_file`.
    """
    with open_file(path, limits) as file:
        refuse_scripts(path, file)
        file.seek(0)
        head = file.read(1024)
    if not head:
        raise AnimatorError("unsupported_format", f"{quoted(path)} is empty.")
    if begins_as_motion(head):
        return _motion(path, limits)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_OTHERS):
        message = f"{quoted(path)} is neither a picture nor a video."
        raise AnimatorError("unsupported_format", message)
    detector = DlibDetector()
    # What moves is a video, and a picture only if it cannot be played.
    if _moves(path, head):
        try:
            return _video(path, head, detector, limits, seconds)
        except AnimatorError as error:
            if error.code not in ("unreadable_video", "no_video_stream", "no_frames"):
                raise
    if (found := read_still(path, limits)) is not None:
        facts = _picture(path, head, found.pixels, found.notes, detector)
        return facts, found.pixels
    try:
        return _video(path, head, detector, limits, seconds)
    except AnimatorError as error:
        if error.code != "unreadable_video" or _begins_as_video(head):
            raise
        message = (
            f"{quoted(path)} is neither a picture nor a video that can be read: it is damaged, "
            "incomplete or of an unknown kind."
        )
        raise AnimatorError("unsupported_format", message) from error


def _tell(task: Message, send: Send, answer: Callable[[Path, MediaLimits], Message]) -> None:
    """Send an answer, or the code and the sentence of what was wrong, without the file's path."""
    cv2.setNumThreads(1)
    path = Path(task["path"])
    limits = MediaLimits(**task["limits"])
    limits = replace(limits, max_seconds=_ANY_LENGTH, max_frames=_ANY_LENGTH)
    try:
        message = answer(path, limits)
    except AnimatorError as error:
        # The server's own name of the file means nothing to whoever sent it.
        sentence = error.message.replace(quoted(path), "The file")
        message = {"code": error.code, "message": sentence}
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise MemoryError from error
    send(message)


def _picture(
    path: Path, head: bytes, pixels: Picture, notes: tuple[str, ...], detector: DlibDetector
) -> UploadFacts:
    height, width = pixels.shape[:2]
    faces = find_faces(pixels, detector)
    findings = [_no_face("The picture shows no face that was found.")]
    if faces:
        chosen = max(faces, key=_area)
        face = measure_face(pixels, chosen.points[0])
        findings = judge(_spec(path), SourceFacts(width, height, len(faces), face, notes), None)
    return UploadFacts(
        kind="picture",
        format=_picture_format(head),
        width=width,
        height=height,
        seconds=None,
        frames=None,
        has_audio=False,
        faces=_seen(faces),
        findings=tuple(_harmless(finding) for finding in findings),
    )


def _video(
    path: Path, head: bytes, detector: DlibDetector, limits: MediaLimits, seconds: float
) -> tuple[UploadFacts, Picture]:
    facts = look_at_driving(_spec(path), detector, limits, FRAMES, seconds)
    if not facts.samples:
        raise AnimatorError("no_frames", f"{quoted(path)} has no frame that can be shown.")
    # The first frame is shown, or where it has no face, such as a black one, the first that has.
    shown_at, picture = 0.0, _frame_at(path, limits, 0.0)
    faces = find_faces(picture, detector, thorough=False)
    if not faces and facts.seen:
        shown_at = next(sample.seconds for sample in facts.samples if sample.face is not None)
        picture = _frame_at(path, limits, shown_at)
        faces = find_faces(picture, detector, thorough=False)
    findings = [
        finding
        for finding in judge(_spec(path), None, facts)
        if finding.code not in _TOO_FEW_FRAMES
    ]
    height, width = picture.shape[:2]
    told = UploadFacts(
        kind="video",
        format=_video_format(head, facts),
        width=width,
        height=height,
        seconds=None if facts.duration is None else round(facts.duration, 3),
        frames=facts.frames,
        has_audio=facts.has_audio,
        faces=_seen(faces),
        findings=tuple(_harmless(finding) for finding in findings),
        shown_at=shown_at,
    )
    return told, picture


def _motion(path: Path, limits: MediaLimits) -> tuple[UploadFacts, Picture]:
    driving = read_motion(path, limits).driving
    facts = facts_of(driving, FRAMES)
    # Any of its frames shows all that there is: the first with the face, as a figure.
    first = int(np.flatnonzero(driving.landmarks.found)[0])
    picture = next(stick_figures(driving, np.array([first])))
    findings = [one for one in judge(_spec(path), None, facts) if one.code not in _TOO_FEW_FRAMES]
    told = UploadFacts(
        kind="motion",
        format=MOTION,
        width=facts.width,
        height=facts.height,
        seconds=facts.duration,
        frames=facts.frames,
        has_audio=False,
        faces=_seen([driving.landmarks.part(slice(first, first + 1))]),
        findings=tuple(_harmless(finding) for finding in findings),
        shown_at=round(float(driving.seconds[first]), 6),
    )
    return told, picture


def _area(face: Landmarks) -> float:
    x0, y0, x1, y1 = (float(edge) for edge in face.boxes[0])
    return (x1 - x0) * (y1 - y0)


def _spec(path: Path) -> JobSpec:
    """A job of this file alone, of which only the options' defaults matter."""
    file = Location(str(path), "source")
    return JobSpec(file, file, Location("/result.mp4", "output"))


def _no_face(message: str) -> Finding:
    advice = "Use a picture that shows a face from the front."
    return Finding("warning", "no_face", message, advice, "source")


def _harmless(finding: Finding) -> Finding:
    """A job may still find what was not found here, or use another part of the file."""
    return replace(finding, level="warning") if finding.level == "error" else finding


def _seen(faces: list[Landmarks]) -> tuple[SeenFace, ...]:
    seen = []
    for face in faces:
        x0, y0, x1, y1 = (round(float(edge), 1) for edge in face.boxes[0])
        crop = Crop(*whole_square(face_square(face.points[0])))
        seen.append(SeenFace((x0, y0, x1, y1), crop))
    return tuple(seen)


def _frame_at(path: Path, limits: MediaLimits, seconds: float) -> Picture:
    """The frame of a video at a time, or the last before it that could be reached."""
    for _, picture in Sampler(path, limits, [seconds], _ONE_FRAME_SECONDS, forgiving=True):
        return picture
    raise AnimatorError("no_frames", f"{quoted(path)} has no frame that can be shown.")


def _jpeg(picture: Picture, longest: int) -> str:
    """Base64 of a JPEG whose longer side has at most so many pixels."""
    height, width = picture.shape[:2]
    scale = min(longest / max(height, width), 1.0)
    small = resize(picture, max(round(width * scale), 1), max(round(height * scale), 1))
    for quality in _QUALITIES:
        content = encode_picture(small, ".jpg", "", quality)
        if len(content) <= _MOST_BYTES:
            break
    return b64encode(content).decode()


def _moves(path: Path, head: bytes) -> bool:
    """Whether a picture file holds an animation."""
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X":
        return bool(head[20:21] and head[20] & 2)
    if is_sequence(brands(head)):
        return True
    kind = {b"GIF8": "GIF", b"\x89PNG": "PNG"}.get(head[:4])
    if kind is None:
        return False
    try:
        with open_file(path) as file:
            image = Image.open(io.BufferedReader(file), formats=[kind])
            # The first picture of an APNG may be none of its frames.
            return getattr(image, "n_frames", 1) - int(getattr(image, "default_image", False)) > 1
    except Exception:  # noqa: BLE001 - hostile bytes may raise anything; its reader tells of it
        return False


def _begins_as_video(head: bytes) -> bool:
    return any(head.startswith(magic, at) for magic, at in _VIDEOS)


def _picture_format(head: bytes) -> str:
    kinds = brands(head)
    if is_avif(kinds) or is_heif(kinds):
        return "avif" if is_avif(kinds) else "heic"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:1] == b"P" and head[1:2].isdigit():
        return "pnm"
    # Of TGA only the end of the file may say what it is.
    return next((name for magic, name in _PICTURES if head.startswith(magic)), "tga")


def _video_format(head: bytes, facts: DrivingFacts) -> str:
    if facts.format.startswith("mov,"):
        return "mp4" if head[4:8] == b"ftyp" and head[8:12] != b"qt  " else "quicktime"
    if facts.format.startswith("matroska"):
        return "webm" if b"webm" in head[:64] else "matroska"
    return _NAMES.get(facts.format, "other")
