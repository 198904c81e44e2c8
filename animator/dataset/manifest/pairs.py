"""Samples without a manifest: the files of two lists, combined."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from animator.dataset.manifest.cells import RowDefaults, checked_location, shorten
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.files.storage import Storage
from animator.settings import Settings
from animator.values import Location, is_url, plain_location, split_location

_SAMPLE = re.compile(r"sample:(\d{1,15})", re.ASCII)
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]", re.ASCII)
_MAX_LABEL = 48  # two of them and the two hyphens between are no longer than an id may be
_HASH = 8
HOW = "product, zip, sample:N"
"""How files can be combined."""


def make_pairs(
    sources: Sequence[str],
    drivings: Sequence[str],
    how: str,
    seed: int,
    settings: Settings,
    defaults: RowDefaults,
) -> Iterator[Sample | Fault]:
    """Samples of the files of two lists.

    A pattern is a path, in which `*`, `?`, `[...]` and, for folders of any depth, `**` may stand;
    or a URL, in whose last part the first three may. What it stands for are the regular files that
    match and are not hidden, sorted. A file that several patterns name counts once, at its first
    place. URLs without such signs are taken as they are.

    Args:
        sources: patterns of pictures.
        drivings: patterns of driving videos.
        how: "product" for every picture with every video; "zip" for the first with the first, and
            so on; "sample:N" for N different pairs drawn from all of them.
        seed: of the draw, which is the same on every machine.
        settings: which URLs are allowed.
        defaults: how all of them are animated.

    Raises:
        AnimatorError: at once and not while pairs are made. `no_such_file` for a pattern that
            nothing matches, `invalid_option` for lists that do not fit `how`, `unreadable_file`,
            `url_refused`, `storage_unavailable`, `missing_package`.
    """
    pictures, videos = _find_all(sources, settings), _find_all(drivings, settings)
    numbers = _combine(len(pictures), len(videos), how, seed)
    return _pairs(_labelled(pictures), _labelled(videos), numbers, settings, defaults)


def _find_all(patterns: Sequence[str], settings: Settings) -> list[str]:
    found: dict[str, None] = {}
    for pattern in patterns:
        found |= dict.fromkeys(_find(pattern, settings))
    return list(found)


def _find(pattern: str, settings: Settings) -> list[str]:
    """The files that a pattern stands for, sorted: absolute paths or URLs."""
    try:
        place = plain_location(pattern)
        found = _find_remote(place, settings) if is_url(place) else _find_local(place)
    except ValueError as error:
        raise AnimatorError("invalid_option", f"{pattern!r} cannot be used: {error}.") from error
    except OSError as error:
        message = f"{pattern!r} cannot be looked up: {error.strerror or error}."
        raise AnimatorError("unreadable_file", message) from error
    if not found:
        raise AnimatorError("no_such_file", f"There is no file {pattern!r}.")
    return found


def _find_local(pattern: str) -> list[str]:
    if os.path.lexists(pattern):  # also a name in which such signs stand for themselves
        if not os.path.isfile(pattern):
            raise AnimatorError("not_a_file", f"{pattern!r} is not a regular file.")
        return [pattern]
    matches = glob.iglob(pattern, recursive=True)
    shown = (path for path in matches if not os.path.basename(path).startswith("."))
    return sorted(path for path in shown if os.path.isfile(path))


def _find_remote(pattern: str, settings: Settings) -> list[str]:
    folder, name = split_location(pattern)
    if glob.has_magic(folder):
        message = f"{pattern!r} has *, ? or [ in its folder; a URL may have them in its last part."
        raise AnimatorError("invalid_option", message)
    if not glob.has_magic(name):
        return [checked_location(pattern, settings)]
    storage = Storage.open(folder, settings)
    return sorted(
        storage.location(there) for there in storage.names() if fnmatch.fnmatchcase(there, name)
    )


def _combine(sources: int, drivings: int, how: str, seed: int) -> Iterable[tuple[int, int]]:
    """Pairs of places in the two lists; those of one driving video follow each other."""
    if how == "zip":
        if sources != drivings:
            message = (
                f"There are {sources} sources and {drivings} drivings; zip needs as many of both."
            )
            raise AnimatorError("invalid_option", message)
        return ((place, place) for place in range(sources))
    total = sources * drivings
    if how == "product":
        return ((place % sources, place // sources) for place in range(total))
    drawn = _SAMPLE.fullmatch(how)
    if drawn is None or int(drawn[1]) < 1:
        message = f"The pairs are {shorten(repr(how))}; allowed is {HOW} with N from 1."
        raise AnimatorError("invalid_option", message)
    count = int(drawn[1])
    if count > total:
        message = f"{count} pairs are asked for; {sources} sources and {drivings} drivings make "
        raise AnimatorError("invalid_option", f"{message}{total}.")
    return ((place % sources, place // sources) for place in _draw(count, total, seed))


def _draw(count: int, total: int, seed: int) -> list[int]:
    """Different numbers below `total`, sorted, by Floyd's method: in memory for `count` of them.

    `Random.sample` may draw others in another version of Python; `Random.random` may not.
    """
    generator, chosen = random.Random(seed), set[int]()
    for last in range(total - count, total):
        number = int(generator.random() * (last + 1))
        chosen.add(last if number in chosen else number)
    return sorted(chosen)


def _labelled(files: Sequence[str]) -> list[tuple[str, str]]:
    """Files, each with what ids call it: its name without the ending, made safe and unique.

    There are no two hyphens in a row, nor one at an end, so that two of them joined by `--` are
    like no other two.
    """
    stems = [os.path.splitext(os.path.basename(file))[0] for file in files]
    labels = [re.sub("-{2,}", "-", _UNSAFE.sub("_", stem)).strip("-") or "_" for stem in stems]
    # On some file systems names that differ in case alone are one.
    counts = Counter(label.lower() for label in labels)
    return [
        (file, label)
        if counts[label.lower()] == 1 and len(label) <= _MAX_LABEL
        else (file, _with_hash(label, file))
        for file, label in zip(files, labels, strict=True)
    ]


def _with_hash(label: str, file: str) -> str:
    digest = hashlib.sha256(os.fsencode(file)).hexdigest()[:_HASH]
    return f"{label[: _MAX_LABEL - _HASH - 1].rstrip('-')}-{digest}"


def _pairs(
    sources: Sequence[tuple[str, str]],
    drivings: Sequence[tuple[str, str]],
    numbers: Iterable[tuple[int, int]],
    settings: Settings,
    defaults: RowDefaults,
) -> Iterator[Sample | Fault]:
    options: dict[str, Any] = asdict(defaults)
    places = {file: _located(file, settings) for file, _ in (*sources, *drivings)}
    for row, (first, second) in enumerate(numbers, start=1):
        (source, name), (driving, other) = sources[first], drivings[second]
        sample_id = f"{name}--{other}"
        picture, video = places[source], places[driving]
        if isinstance(picture, AnimatorError):
            yield Fault(row, picture.code, shorten(picture.message), sample_id)
        elif isinstance(video, AnimatorError):
            yield Fault(row, video.code, shorten(video.message), sample_id)
        else:
            yield Sample(id=sample_id, row=row, source=picture, driving=video, **options)


def _located(file: str, settings: Settings) -> Location | AnimatorError:
    """The file for a job, or why it cannot be named in one: a name that is not UTF-8, say."""
    try:
        return checked_location(file, settings)
    except AnimatorError as error:
        return error
