"""Cases of an evaluation of faces: portraits, and the motion that each of them gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animator.faces.crop import Square, in_units
from animator.faces.motion import choose_anchor, keep_inside, retarget, smooth
from gfla.arrays import Picture, Points, to_pixels
from gfla.data.openings import openness
from gfla.data.packs import FacePack, read_pack
from gfla.data.pairs import PAIRS
from gfla.errors import GflaError
from gfla.evaluation.files import resized
from gfla.evaluation.motion import there_and_back
from gfla.evaluation.protocol import Protocol


@dataclass(frozen=True, eq=False)
class Case:
    """One portrait and the motion that it gets.

    Attributes:
        name: of the clip, or of both.
        identity: of the portrait.
        source: the portrait, S S 3.
        source_points: its landmarks, 68 2 in units of the picture.
        targets: T 68 2, those of every frame to render.
        driving: the clip that the motion is from, and the frame of it that each target is of.
        frames: number of each target in the clip, from 1 for the source; the first is 2.
        truth: whether the driving frames are what should come out.
        measured: how many of the targets the means are over; later ones serve drift.
    """

    name: str
    identity: str
    source: Picture
    source_points: Points
    targets: Points
    driving: tuple[FacePack, NDArray[np.intp]]
    truth: bool
    measured: int

    def driving_frame(self, place: int, protocol: Protocol) -> Picture:
        """The driving picture of a target, at the protocol's size."""
        clip, frames = self.driving
        return resized(clip.frame(int(frames[place])), protocol.pictures)


def read_clips(folder: Path, protocol: Protocol) -> list[tuple[str, FacePack]]:
    """The packs of a folder that are clips, by name; as many as the protocol takes.

    Raises:
        GflaError: ``invalid_data`` or ``invalid_pack``.
    """
    packs = [(path.stem, read_pack(path)) for path in sorted(folder.glob("*.npz"))]
    clips = [(name, pack) for name, pack in packs if len(pack) >= 4]
    if not clips:
        hint = ""
        if any((folder / part / PAIRS).is_file() for part in (".", "train", "held-out")):
            hint = "; it holds pairs, which other protocols measure, such as --protocol small"
        raise GflaError("invalid_data", f"there are no packed clips (*.npz) in {folder}{hint}")
    wanted = protocol.expected_samples
    if wanted is not None and len(clips) != wanted:
        message = f"{folder} has {len(clips)} clips, the protocol {protocol.name} is of {wanted}"
        raise GflaError("invalid_data", message)
    if protocol.samples is not None and protocol.samples < len(clips):
        chosen = np.random.default_rng(protocol.seed).permutation(len(clips))[: protocol.samples]
        clips = [clips[place] for place in sorted(chosen)]
    return clips


def self_cases(clips: Sequence[tuple[str, FacePack]], protocol: Protocol) -> Iterator[Case]:
    """A frame of every clip, the protocol's ``source``, with the clip's own landmarks."""
    options = protocol.clips
    for name, clip in clips:
        count = min(len(clip), options.frames)
        length = count
        if "drift" in protocol.metrics and (options.drift_loop or len(clip) >= options.drift_late):
            length = max(count, options.drift_late)
        frames = there_and_back(len(clip), length)[1:]
        place = 0
        if options.source == "closed-mouth":
            place = int(np.argmin(openness(clip.landmarks[:count], "mouth")))
        source = resized(clip.frame(place), protocol.pictures)
        yield Case(
            name, identity_of(name, clip), source, clip.landmarks[place], clip.landmarks[frames],
            (clip, frames), truth=True, measured=count - 1,
        )  # fmt: skip


def cross_cases(clips: Sequence[tuple[str, FacePack]], protocol: Protocol) -> Iterator[Case]:
    """Every clip's first frame with the motion of another person, drawn by the seed."""
    people = [identity_of(name, clip) for name, clip in clips]
    for place, (name, clip) in enumerate(clips):
        others = [other for other, who in enumerate(people) if who != people[place]]
        if not others:
            message = "cross-identity animation needs clips of at least two people"
            raise GflaError("invalid_data", message)
        chosen = np.random.default_rng([protocol.seed, place]).choice(others)
        other_name, other = clips[chosen]
        frames = np.arange(1, min(len(other), protocol.clips.frames))
        targets = retargeted(clip.landmarks[0], other.landmarks[: frames[-1] + 1], protocol)[1:]
        yield Case(
            f"{name} moved by {other_name}", people[place],
            resized(clip.frame(0), protocol.pictures), clip.landmarks[0], targets,
            (other, frames), truth=False, measured=len(frames),
        )  # fmt: skip


def identity_of(name: str, clip: FacePack) -> str:
    """Who is seen in a clip; a clip that does not say is somebody of its own."""
    return str(clip.meta.get("identity") or name)


def retargeted(source: Points, driving: Points, protocol: Protocol) -> NDArray[np.float32]:
    """Target landmarks as ``animator run`` plans them, all in units of the picture.

    Args:
        source: 68 x 2.
        driving: T x 68 x 2.
        protocol: says how.
    """
    options, size = protocol.clips, protocol.pictures.height
    # Motion is planned in pixels, as in the pipeline, and comes back in units.
    source_pixels, driving_pixels = (to_pixels(points, size) for points in (source, driving))
    seconds = np.arange(len(driving)) / options.frame_rate
    points = smooth(driving_pixels, seconds, options.smoothing)
    anchor = points[choose_anchor(source_pixels, points, options.anchor)]
    moved = retarget(source_pixels, points, anchor, options.motion)
    # The whole picture: its middle lies between two pixels where the size is even.
    whole = Square((size - 1) / 2, (size - 1) / 2, size)
    return in_units(keep_inside(moved, whole), whole)
