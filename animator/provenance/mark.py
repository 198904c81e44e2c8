"""The mark of a result: that it is generated, by which version and weights, of what, and how."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from animator.values import is_url

GENERATOR = "animator"
"""What this program is called in marks and manifests."""
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""Beginning of the terms of the IPTC's vocabulary of digital source types; the scheme is http."""
TRAINED = SOURCE_TYPES + "trainedAlgorithmicMedia"
"""All of the picture is a trained model's; the vocabulary gives as an example the video of a real
person's acting by such a model."""
COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
"""A part of the picture is a trained model's, another part is not."""

_SENTENCE = re.compile(
    r"AI-generated: .{1,200}? "
    r"\(animator (?P<version>[^\s,]{1,60}), weights (?P<weights>.{1,300})\)\.",
    re.ASCII,
)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NUMBERS = re.compile(r"[\d.:/]+", re.ASCII)  # a time or a rate may be a ratio
_MAX_TEXT = 300
_MOST_SETTINGS = 200
_MOST_HASHES = 32


@dataclass(frozen=True)
class Mark:
    """What a result says about itself.

    Attributes:
        version: of the animator that made it.
        weights: name of the weights that made it.
        source_type: term of the IPTC's vocabulary, `TRAINED` or `COMPOSITE`.
        hashes: SHA-256 of "source", "driving" and "weights", 64 hexadecimal digits each; further
            driving files are "driving 2" and so on.
        settings: options of the job by name; no paths.
        media: SHA-256 of the coded pictures and sound as the container holds them; see
            `animator.provenance.containers.media_hash`. Empty where it is not known.
    """

    version: str
    weights: str
    source_type: str = TRAINED
    hashes: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    media: str = ""

    @property
    def sentence(self) -> str:
        """The comment of a result, for a person."""
        return sentence(self.version, self.weights)


def sentence(version: str, weights: str) -> str:
    """The comment of a result of these weights, for a person; `from_sentence` reads it."""
    return (
        "AI-generated: a portrait animated with the motion of another video "
        f"({GENERATOR} {version}, weights {weights})."
    )


def from_sentence(comment: str) -> Mark | None:
    """What a comment says of a result; None if it is no comment of this program."""
    found = _SENTENCE.search(comment)
    return None if found is None else Mark(found["version"], found["weights"], source_type="")


def source_type(output_mode: str) -> str:
    """The digital source type of a result in this output mode."""
    return TRAINED if output_mode == "crop" else COMPOSITE


def without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options that may be told to everybody: what names a file, and with it a person, is left out.

    Also left out is what is not set.
    """
    plain = {
        name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()
    }
    return {
        name: value if _is_plain(value) else str(value)
        for name, value in plain.items()
        if value is not None and not _is_place(str(value))
    }


def checked_hashes(values: object) -> dict[str, str]:
    """The hashes among what a file says; anything else in it is left out."""
    if not isinstance(values, Mapping):
        return {}
    return {
        str(name)[:_MAX_TEXT]: value
        for name, value in list(values.items())[:_MOST_HASHES]
        if isinstance(value, str) and _HASH.fullmatch(value)
    }


def checked_settings(values: object) -> dict[str, Any]:
    """The plain values among the settings that a file says; anything else is left out."""
    if not isinstance(values, Mapping):
        return {}
    named = list(values.items())[:_MOST_SETTINGS]
    return {name[:_MAX_TEXT]: value for name, value in named if _is_plain(value)}


def checked_text(value: object) -> str:
    """A short text among what a file says; empty for anything else."""
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return abs(value) < 1 << 63
    if isinstance(value, list):
        return len(value) <= _MOST_SETTINGS and all(
            isinstance(one, (str, int, float)) and _is_plain(one) for one in value
        )
    return value is None or (isinstance(value, str) and len(value) <= _MAX_TEXT)


def _is_place(text: str) -> bool:
    return is_url(text) or ("/" in text and not _NUMBERS.fullmatch(text)) or "\\" in text
