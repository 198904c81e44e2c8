"""Notes on what reading changed about a picture or a video, as codes and as sentences."""

from __future__ import annotations

NOTES: dict[str, str] = {
    "hdr": "is HDR; it is taken as SDR, in which what is brighter than white becomes white.",
    "broken_profile": "has a colour profile that makes no sense; its colours are taken as sRGB.",
}
"""What each code says of its subject, as the rest of a sentence that begins with it."""


def sentence(subject: str, code: str) -> str:
    """A note in words; ``subject`` is as in "The picture"."""
    return f"{subject} {NOTES[code]}"
