"""Notes on what was changed about a picture or a video, as codes and as sentences."""

from __future__ import annotations

NOTES: dict[str, str] = {
    "hdr": "is HDR; it is taken as SDR, in which what is brighter than white becomes white.",
    "broken_profile": "has a colour profile that makes no sense; its colours are taken as sRGB.",
    "published_joints": "is much larger than 176 x 256, which the table's joints were taken to be "
    "of, as in DeepFashion's published tables; one with columns for width and height says what "
    "its joints are of.",
}
"""What each code says of its subject, as the rest of a sentence that begins with it."""


def sentence(subject: str, code: str) -> str:
    """A note in words; ``subject`` is as in "The picture"."""
    return f"{subject} {NOTES[code]}"


LARGEST_SIDE = 3840
"""Longer side, in pixels, to which larger pictures are scaled down for a video."""


def is_reduced(output_mode: str, width: int, height: int) -> bool:
    """Whether a result of this mode shows a picture of that size in fewer pixels."""
    return output_mode == "paste-back" and max(width, height) > LARGEST_SIDE
