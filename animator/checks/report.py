"""Reports of checks as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from animator.errors import AnimatorError

Level = Literal["error", "warning", "note"]
Subject = Literal["source", "driving"]
MOTION = "motion"
"""What motion files are called where videos have the name of their container."""
JOINTS = "joints"
VIEWS = "views"
"""Likewise files of joints."""
Kind = Literal["picture", "video", "motion"]


@dataclass(frozen=True)
class Finding:
    """One thing that would fail, be poor, or should be known.

    Attributes:
        level: "error" if the job would fail, "warning" if its result would be poor, else "note".
        code: of `animator.errors.CODES` for errors, of `animator.checks.findings.CODES` for others.
        message: what was found, in a sentence.
        advice: what to do, in a sentence; empty if there is nothing.
        about: the input that it is about; empty for the job as a whole.
    """

    level: Level
    code: str
    message: str
    advice: str = ""
    about: Subject | Literal[""] = ""


@dataclass(frozen=True)
class Crop:
    """A square of a picture in whole pixels, which may reach over its border."""

    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Face:
    """What is measured of one face.

    Attributes:
        pixels: the greater extent of its landmarks.
        crop: the square that is animated, or would be.
        turn: the nose's offset from the middle of the eyes in units of the eyes' distance, to the
            right of the picture positive: 0.5 is about 45 degrees.
        lean: how far the head leans to the right of the picture, in degrees.
        sharpness: variance of the Laplacian over the face, its crop scaled to 256 pixels; None
            without a picture.
        brightness: mean luma of the face, 0 to 255; None without a picture.
        eyes: height of the open eyes in units of their width; 0.1 and less is closed.
        mouth: gap of the inner lips in units of their width.
        inside: share of the crop that lies in the picture.
    """

    pixels: float
    crop: Crop
    turn: float
    lean: float
    sharpness: float | None
    brightness: float | None
    eyes: float
    mouth: float
    inside: float


@dataclass(frozen=True)
class SourceFacts:
    """What was measured of the source: its size in pixels, its faces, the chosen one, notes.

    Attributes:
        faces: how many it shows; of persons, how many a file of joints tells.
        face: the chosen one; None where a person is animated.
        video: whether it is a video whose frames are all animated.
        frames: of that video; None if that could not be told, or it is none.
        duration: of it in seconds, likewise.
        frame_seconds: seconds to decode a frame of it and to follow its face.
    """

    width: int
    height: int
    faces: int
    face: Face | None
    notes: tuple[str, ...] = ()
    video: bool = False
    frames: int | None = None
    duration: float | None = None
    frame_seconds: float = 0.0


@dataclass(frozen=True)
class SampledFrame:
    """One frame of the driving video that was looked at.

    Attributes:
        seconds: its time from the first frame of the file.
        faces: how many it shows.
        face: the chosen one, None if there is none.
        cut: whether it is of another shot than the frame that was looked at before.
    """

    seconds: float
    faces: int
    face: Face | None
    cut: bool = False


@dataclass(frozen=True)
class DrivingFacts:
    """What was measured of the driving video.

    Attributes:
        width: of a frame as it is shown, in pixels.
        height: of a frame as it is shown, in pixels.
        format: the container's name in libav.
        codec: the video codec's name in libav.
        rotation: degrees counter-clockwise by which stored frames are turned.
        has_audio: whether there is sound.
        duration: seconds of the part that is used, None if it could not be told.
        frames: of the part that is used, None if they could not be told.
        counted: whether the frames were counted, not estimated from the header.
        rate: frames a second on average, None if unknown.
        variable_rate: whether frames come at uneven times, None if that could not be told.
        wanted: how many frames were to be looked at.
        samples: those that were.
        crop: a square that holds the crops of all sampled faces, None without any.
        decode_seconds: time to decode a frame.
        landmark_seconds: time to follow a face into the next frame, None if there was none.
        memory_mb: what the child held at most while it read the files.
        notes: codes of `animator.media.notes.NOTES`.
        faults: sentences about what of the pictures could not be read, as far as it was tried.
        sound_note: what is to be known of the sound, in a sentence.
    """

    width: int
    height: int
    format: str
    codec: str
    rotation: int
    has_audio: bool
    duration: float | None
    frames: int | None
    counted: bool
    rate: float | None
    variable_rate: bool | None
    wanted: int
    samples: tuple[SampledFrame, ...]
    crop: Crop | None
    decode_seconds: float
    landmark_seconds: float | None
    memory_mb: float
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    sound_note: str | None = None

    @property
    def seen(self) -> tuple[Face, ...]:
        """The faces of the sampled frames that show one."""
        return tuple(sample.face for sample in self.samples if sample.face is not None)

    @property
    def coverage(self) -> tuple[float, float, float]:
        """Share of frames with a face, and its 95 % interval, by the sampled frames."""
        low, high = wilson_interval(len(self.seen), len(self.samples))
        return len(self.seen) / max(len(self.samples), 1), low, high


@dataclass(frozen=True)
class SeenFace:
    """A face of a picture.

    Attributes:
        box: left, top, right and bottom edge in pixels; they may lie outside the picture.
        crop: the square that is animated, or would be.
    """

    box: tuple[float, float, float, float]
    crop: Crop


@dataclass(frozen=True)
class UploadFacts:
    """What is told of a file.

    Attributes:
        kind: what it is: a picture, a video, or a motion file, which has no pictures.
        format: what it is, by a name of `animator.web.files.media_types`.
        width: as it is shown, in pixels.
        height: as it is shown, in pixels.
        seconds: length of a video, None if unknown.
        frames: number of a video's frames, None if unknown.
        has_audio: whether a video has sound.
        faces: those in the frame that the thumbnail shows, in the order of their numbers.
        findings: what should be known before it is used.
        shown_at: the time in seconds of the frame that the thumbnail shows.
    """

    kind: Kind
    format: str
    width: int
    height: int
    seconds: float | None
    frames: int | None
    has_audio: bool
    faces: tuple[SeenFace, ...]
    findings: tuple[Finding, ...]
    shown_at: float = 0.0


@dataclass(frozen=True)
class JobEstimate:
    """What the job would need on this machine, by what a few frames needed just now.

    Attributes:
        seconds: until the video is there, without the queue.
        memory_mb: most memory held.
        frames: of the result.
        frame_seconds: by stage, for one frame.
        device: where the networks ran.
    """

    seconds: float
    memory_mb: float
    frames: int
    frame_seconds: Mapping[str, float]
    device: str


@dataclass(frozen=True)
class CheckReport:
    """All that a check found.

    Attributes:
        source: None if the source could not be looked at.
        driving: None if the driving video could not be looked at.
        estimate: None if it was not asked for or not possible.
        findings: errors first, then warnings, then notes.
        seconds: that the check took.
    """

    source: SourceFacts | None = None
    driving: DrivingFacts | None = None
    estimate: JobEstimate | None = None
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing that was found would make the job fail."""
        return not any(finding.level == "error" for finding in self.findings)

    def require(self) -> None:
        """Raise the first error, if there is one.

        Raises:
            AnimatorError: with the code of the finding.
        """
        for finding in self.findings:
            if finding.level == "error":
                sentence = " ".join(filter(None, (finding.message, finding.advice)))
                raise AnimatorError(finding.code, sentence)

    def as_dict(self) -> dict[str, Any]:
        """The report for `--json`: plain values."""
        values = {"ok": self.ok, **asdict(self)}
        if self.driving is not None:
            share, low, high = self.driving.coverage
            values["driving"]["coverage"] = {
                "sampled": len(self.driving.samples),
                "with_face": len(self.driving.seen),
                "share": round(share, 3),
                "low": round(low, 3),
                "high": round(high, 3),
            }
        return values


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share of which `hits` of `trials` are known (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    z, share = 1.96, hits / trials
    scale = 1 + z**2 / trials
    centre = (share + z**2 / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / scale
    return max(centre - half, 0.0), min(centre + half, 1.0)
