"""Options of jobs: their values, their words, and the headings under which they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from animator.formats import Codec, PixelFormat, Preset
from animator.moving_faces import Face
from animator.values import option

Motion = Literal["relative", "absolute"]
Anchor = Literal["first", "auto"]
MissingFace = Literal["hold", "interpolate", "skip", "fail"]
OutputMode = Literal["crop", "paste-back", "side-by-side"]
FaceDetector = Literal["auto", "dlib", "face-alignment", "mesh"]
BodyDetector = Literal["auto", "keypoint-rcnn", "blazepose"]
Detector = Literal[FaceDetector, BodyDetector]
"""One that finds faces, or one that finds bodies, as the weights animate either."""
PoseWindow = Literal["auto", "person", "whole"]
Precision = Literal["auto", "float32", "bfloat16"]
Crf = Literal["auto"] | int
Size = Literal["auto"] | int
Extra = Literal["landmarks", "structures", "flows", "frames"]
Priority = Literal["high", "normal", "low"]
Kind = Literal["any", "cpu", "cuda"]
Region = Literal["head", "brows", "eyes", "mouth", "jaw"]
Blink = Literal["off", "auto"]
Ending = Literal["hold", "loop", "stop"]
SourceMotion = Literal["keep", "replace", "still"]
Faces = Literal["largest", "all"] | int | str
"""As `animator.moving_faces.MovingFaces` reads it."""

FACE = "Which face"
LOOK = "The result"
FILE = "The file"
MACHINE = "The machine"
QUEUE = "The queue"
GROUPS = ("", FACE, LOOK, FILE, MACHINE, QUEUE)
"""Headings under which options are shown, in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowOptions:
    """Options that every row of a data set may choose for itself; each is a column."""

    start: str | None = option(
        None, "Begin here in the driving video: 12.5 (seconds) or 1:02.5.", shown="TIME"
    )
    """As `parse_time` reads it; None is the video's beginning."""
    end: str | None = option(None, "End here in the driving video.", shown="TIME")
    """This moment is excluded; None is the video's end."""
    weights: str = option(
        "default",
        "Other weights than those shipped: a name from `animator weights list`, or a file.",
        MACHINE,
        shown="[NAME|FILE]",
        order=2,
    )
    """"default" for the checkpoint that is shipped, a name in the weights library, or an absolute
    path. A name travels as a name: every machine looks it up in its own library."""
    face: Faces = option(
        "largest",
        "Which face where there are several: the largest, the N-th from the left (in both files), "
        "all, or N=FILE for each with a driving file of its own (parted by ; or given again). The "
        "last two show the whole picture.",
        FACE,
        shown="[largest|N|all|N=FILE]",
    )
    """Of the source and of the driving video; numbers begin at 1. Files are `Location`s."""
    motion: Motion = option(
        "relative",
        "relative: the driving motion on the source's own face; absolute: the driving "
        "face's shape, too.",
        LOOK,
    )
    output_mode: OutputMode = option(
        "crop",
        "crop: the face square; paste-back: the whole picture; side-by-side: the driving "
        "video beside the face square.",
        LOOK,
        order=1,
    )
    strength: float = option(
        1.0,
        "How much of the motion is taken over: 0 is none, 2 twice as much.",
        LOOK,
        shown="0..2",
        minimum=0,
        maximum=2,
    )
    head: float = option(
        1.0,
        "Likewise for the head alone: its turning, its size and its place.",
        LOOK,
        shown="0..2",
        minimum=0,
        maximum=2,
    )
    expression: float = option(
        1.0, "Likewise for the face alone.", LOOK, shown="0..2", minimum=0, maximum=2
    )
    regions: str = option(
        ",".join(get_args(Region)),
        "What moves, parted by commas; the rest stays as in the source: head, brows, eyes, mouth, "
        "jaw.",
        LOOK,
        shown="NAMES",
    )
    blink: Blink = option(
        "off", "auto: eyes that do not get the driving motion blink now and then.", LOOK
    )
    ending: Ending = option(
        "hold",
        "What a video does that ends before the longest: hold its last pose, loop (begin again), "
        "or stop the result with it.",
        LOOK,
    )
    source_motion: SourceMotion = option(
        "keep",
        "Of a video as the portrait: keep adds the driving motion to its own; replace puts the "
        "driving turning and expression in the place of its own; still animates its first picture.",
        LOOK,
    )
    fps: str = option(
        "keep",
        "Frames a second of the result: 25, 29.97, 30000/1001; keep is the driving video's own "
        "times, or those of a video that is the portrait.",
        FILE,
        shown="[keep|N]",
    )
    """As `animator.formats.parse_rate` reads it."""
    audio: str = option(
        "driving",
        "The sound: the driving video's, that of a video that is the portrait (source), none, or "
        "that of another file.",
        FILE,
        shown="[driving|source|none|FILE]",
    )
    """A file is a `Location`."""
    driving_fps: str = option(
        "auto",
        "Pictures a second of a driving folder or pattern; auto is that of --fps, or else 25.",
        FILE,
        shown="[auto|N]",
    )
    source_pose: str = option(
        "auto",
        "The joints of a person in the source: found in the picture (auto), or those of a file, "
        "JSON or CSV, or FILE.csv#NAME for one of its rows.",
        FACE,
        shown="[auto|FILE]",
    )
    """A file is a `Location`."""


@dataclass(frozen=True, kw_only=True)
class SharedOptions:
    """Options that all rows of a data set share."""

    size: Size = option(
        "auto",
        "Side of what a crop shows, in pixels, an even number from 128 to 1024; auto renders the "
        "face at 512 pixels where its square in the source has 300 or more, else at 256.",
        LOOK,
        shown="[auto|PIXELS]",
        minimum=128,
        maximum=1024,
        step=2,
        order=1,
    )
    """Auto is as `animator.faces.framing` says; a face's pixels are those of the square around it
    that the networks see."""
    margin: float = option(
        2.4,
        "How much a crop shows, in units of the face: 1.75 is just what moves, 2.4 all of the hair "
        "and the shoulders, too.",
        LOOK,
        shown="1.2..4",
        minimum=1.2,
        maximum=4,
        order=1,
    )
    source_face: Face | None = option(
        None, "Which face of the source, if not that of --face.", FACE, shown="[largest|N]"
    )
    """None is `face`; so is it of the next one."""
    driving_face: Face | None = option(
        None, "Which face of the driving video, likewise.", FACE, shown="[largest|N]"
    )
    anchor: Anchor = option(
        "auto",
        "The driving frame that counts as the source's own pose: the first, or (auto) the "
        "one nearest to it.",
        LOOK,
    )
    smoothing: float = option(
        0.5,
        "How strongly jitter is smoothed: 0 is not at all.",
        LOOK,
        shown="0..1",
        minimum=0,
        maximum=1,
    )
    missing_face: MissingFace = option(
        "hold",
        "For driving frames without a face: hold the last pose, interpolate between the "
        "poses around, skip the frames, or fail.",
        FACE,
    )
    detector: Detector = option(
        "auto",
        "What finds the landmarks of a face or the joints of a person; auto goes by what is "
        "here (`animator detectors list`).",
        FACE,
    )
    window: PoseWindow = option(
        "auto",
        "What the networks see of a person's picture: the part around the person, all of it, or "
        "(auto) all of it where it is as wide as high as the model's pictures.",
        LOOK,
        order=1,
    )
    codec: Codec = option(
        "auto",
        "How a video is coded; auto is h264, and vp9 in .webm.",
        FILE,
        order=1,
    )
    crf: Crf = option(
        "auto",
        "Quality of the coding: 0 is best, 51 (av1, vp9: 63) worst; in .webp 0 is without loss.",
        FILE,
        shown="[auto|N]",
        minimum=0,
        maximum=100,
        order=1,
    )
    preset: Preset = option(
        "auto", "How long the coder tries to make the file small.", FILE, order=1
    )
    pixel_format: PixelFormat = option(
        "auto",
        "How colours are stored: yuv444p keeps all, yuv420p a quarter and plays everywhere, "
        "...10le has 10 bits; auto is yuv420p.",
        FILE,
        order=1,
    )
    precision: Precision = option(
        "auto", "Arithmetic of the networks; auto is float32 on most CPUs.", MACHINE, order=1
    )
