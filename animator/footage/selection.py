"""The choice of footage of faces to train on: splits by identity, and quality."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gfla.errors import GflaError

Split = Literal["train", "held-out", "test"]
SPLITS: tuple[Split, ...] = ("train", "held-out", "test")
"""Trained on; looked at and measured while a model is made; measured once, when it is done."""
PERMISSIVE = frozenset({"MIT", "Apache-2.0", "BSD", "BSL-1.0", "CC0 1.0", "CC BY 4.0"})
"""Licences under which footage is trained on."""
CLIP, STILL = "face_video", "portrait"
NOBODY = frozenset({"", "none", "several"})
"""Identities of files that do not show one real person."""


@dataclass(frozen=True)
class Footage:
    """One file of a manifest.

    Attributes:
        path: relative to the manifest's folder.
        kind: "face_video" or "portrait".
        identity: the same for all files of one person.
        licence: as the manifest has it.
        split: if the manifest says.
    """

    path: str
    kind: str
    identity: str
    licence: str
    split: str = ""


def read_manifest(path: Path) -> list[Footage]:
    """The clips and portraits of a manifest; rows of other kinds are passed over.

    Args:
        path: CSV with the columns path, kind, identity and license, and perhaps split.

    Raises:
        GflaError: ``invalid_data`` if a column is missing or a split is none of ``SPLITS``;
            ``no_data`` if there is no such file.
    """
    try:
        # The rows of the table.
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = {"path", "kind", "identity", "license"} - set(reader.fieldnames or ())
            if missing:
                message = f"{path} lacks the columns {', '.join(sorted(missing))}"
                raise GflaError("invalid_data", message)
            rows = list(reader)
    except OSError as error:
        raise GflaError("no_data", f"{path} cannot be read: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise GflaError("invalid_data", f"{path} is no CSV: {error}") from error
    # Those of faces.
    footage = [
        Footage(row["path"], row["kind"], row["identity"], row["license"], row.get("split") or "")
        for row in rows
        if row["kind"] in (CLIP, STILL)
    ]
    for item in footage:
        if item.split and item.split not in SPLITS:
            message = f"{item.path}: split is {item.split!r}; allowed: {', '.join(SPLITS)}"
            raise GflaError("invalid_data", message)
    return footage


def split_by_identity(
    footage: Iterable[Footage], test_people: Collection[str] = ()
) -> tuple[list[tuple[Footage, Split]], list[tuple[Footage, str]]]:
    """Decide what is trained on and what is held out, so that nobody is on both sides.

    The manifest's split holds where it has one, and all files of ``test_people`` (identities) are
    for the test. Otherwise files under a permissive licence are
    trained on, and people who occur under other licences only are held out; such files of people
    who are trained on are left out.

    Returns:
        What is taken with its split, and what is not with the reason.

    Raises:
        GflaError: ``invalid_data`` if the manifest puts one identity into both splits.
    """
    # What the caller and the manifest say of a person holds for all files of that person.
    footage = [
        replace(item, split="test") if item.identity in test_people else item for item in footage
    ]
    said: dict[str, str] = {}
    for item in footage:
        if item.split and said.setdefault(item.identity, item.split) != item.split:
            message = f"identity {item.identity} is in two splits, see {item.path}"
            raise GflaError("invalid_data", message)
    # Everybody else is on the side that the licences allow.
    trained = {i.identity for i in footage if not i.split and i.licence in PERMISSIVE}
    taken: list[tuple[Footage, Split]] = []
    left: list[tuple[Footage, str]] = []
    for item in footage:
        wanted = said.get(item.identity)
        if item.identity in NOBODY:
            left.append((item, "not one real person"))
        elif wanted is not None:
            taken.append((item, next(split for split in SPLITS if split == wanted)))
        elif item.licence in PERMISSIVE:
            taken.append((item, "train"))
        elif item.identity in trained:
            left.append((item, "a trained identity under another licence"))
        else:
            taken.append((item, "held-out"))
    return taken, left


@dataclass(frozen=True)
class Quality:
    """What footage must be like."""

    smallest_face: float = 80.0
    """Greater extent of the landmarks, in pixels of the footage; a clip's median."""
    sharpness: float = 15.0
    """Variance of the Laplacian over the face, at a crop of 256 pixels; a clip's median. Sharp
    clips have 50 to 300, blurred ones below 20."""
    turn: float = 0.5
    """Largest offset of the nose's tip from the middle of the eyes, along them, in units of their
    distance; 0.5 is about 45 degrees."""
    longest_gap: int = 2
    """Unusable frames in a row that are passed over; more of them end a pack."""
    fewest_frames: int = 8
    """Of a pack of a clip."""
    most_frames: int = 300
    """Of a pack; longer stretches become several packs."""

    def __post_init__(self) -> None:
        if self.fewest_frames < 2 or self.most_frames < self.fewest_frames or self.longest_gap < 0:
            message = (
                f"{self.fewest_frames} to {self.most_frames} frames with gaps of "
                f"{self.longest_gap}; allowed: at least 2, rising, gaps from 0"
            )
            raise GflaError("invalid_config", message)


def stretches(
    usable: NDArray[np.bool_], cuts: Sequence[int], limits: Quality
) -> list[NDArray[np.intp]]:
    """The usable frames of a clip, in stretches that may each become a pack.

    Args:
        usable: T, which frames show the face well enough.
        cuts: frames with which a new shot begins; no stretch goes across.
        limits: see ``Quality``.

    Returns:
        Frame numbers of each stretch of at least ``fewest_frames``, none above ``most_frames``.
    """
    frames = np.flatnonzero(usable)
    if not len(frames):
        return []
    shot = np.searchsorted(np.sort(np.asarray(cuts, np.intp)), frames, "right")
    ends = (np.diff(frames) > limits.longest_gap + 1) | (np.diff(shot) > 0)
    parts: list[NDArray[np.intp]] = []
    for part in np.split(frames, np.flatnonzero(ends) + 1):
        # Evenly, so that no short rest is lost.
        parts += np.array_split(part, -(-len(part) // limits.most_frames))
    return [part for part in parts if len(part) >= limits.fewest_frames]
