"""A key for a job made of what goes into it: the same files, settings and weights, the same key."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path

from animator.files.local import check_input, content_hash
from animator.files.poses import is_row
from animator.files.sequence import is_sequence
from animator.formats import format_of
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.weights.library import resolve_spec, sha256_of

_STILL = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".heic", ".heif", ".jp2")
AUTO = "auto"
"""The key that stands for the content's."""


def content_key(spec: JobSpec, settings: Settings) -> str:
    """`sha256:` and a hash of the bytes of both inputs and of the weights, and of the settings.

    Where the files lie and where the output goes does not count. Files that lie elsewhere are
    fetched, unless this machine has them.

    Raises:
        AnimatorError: as for inputs that cannot be read, or `no_such_weights`.
    """
    # Options that are not used give the keys that there were before there were these options.
    values = spec.chosen()
    # Every other field counts, also one that a later version adds.
    del values["output"]
    kind = format_of(spec.output)
    if kind is not None and kind.name != "mp4":
        values["format"] = kind.name
    folder = not spec.source.is_url and is_sequence(spec.source.plain)
    if folder or Path(spec.source.name).suffix.lower() in _STILL:
        values.pop("source_motion", None)  # it makes no difference
    hashes = {name: _hash_input(place, settings) for name, place in spec.inputs.items()}
    values |= {name: hashes[name] for name in ("source", "driving", "audio") if name in hashes}
    if "pose" in hashes:
        values["source_pose"] = hashes["pose"]
    values["face"] = spec.face_by_name(hashes)
    values["weights"] = _hash(resolve_spec(spec.weights, settings))
    text = json.dumps(values, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _hash_input(location: Location, settings: Settings) -> str:
    if location.is_url:
        from animator.files.cache import cached_input  # it brings the media libraries

        with cached_input(location, settings) as path:
            # Its name in the cache is the hash of its content.
            return path.name
    check_input(location.plain, pictures=True)
    several = is_sequence(location.plain) or is_row(location.plain)
    return content_hash(location.plain) if several else _hash(location.path)


def _hash(path: Path) -> str:
    # A file that was replaced or written to is another one to the cache below.
    found = os.stat(path)
    return _hash_version(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _hash_version(path: Path, inode: int, size: int, modified: int) -> str:
    """The hash of a file as it is; many jobs share a driving video and all share weights."""
    return sha256_of(path)
