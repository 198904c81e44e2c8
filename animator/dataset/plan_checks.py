"""Checks of a plan's inputs, one for each of them however many rows name it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from animator.dataset.options import RunOptions
from animator.dataset.samples import ROW_OPTIONS, Fault, Sample
from animator.errors import AnimatorError
from animator.files.local import check_input
from animator.files.storage import Storage
from animator.settings import Settings
from animator.values import Location
from animator.weights.subjects import SubjectKind, check_options, check_weights

ALWAYS = float("inf")
"""When a file was modified of which that cannot be told."""
_QUESTIONS = 16  # that remote stores are asked at the same time


class InputChecks:
    """Whether the inputs on this machine can be read."""

    def __init__(self) -> None:
        self._known: dict[str, AnimatorError | None] = {}

    def check(self, sample: Sample) -> Fault | None:
        """The fault of a sample: `no_such_file`, `not_a_file` or `unreadable_file`."""
        for place in sample.pictures:
            if place not in self._known:
                self._known[place] = None if place.is_url else _input_error(place)
            if (error := self._known[place]) is not None:
                return Fault(sample.row, error.code, error.message, sample.id)
        return None


class OptionsCheck:
    """Whether a row's options go with those of its run and with what its weights animate.

    Args:
        options: of the run.
        settings: where the library of weights is.
    """

    def __init__(self, options: RunOptions, settings: Settings) -> None:
        self._options, self._settings = options, settings
        self._kinds: dict[str, SubjectKind | None] = {}
        self._known: dict[tuple[object, ...], AnimatorError | None] = {}

    def check(self, sample: Sample) -> Fault | None:
        """The fault of a sample: `invalid_option`."""
        # Most rows are alike: what is known of their options is known of them, but for a URL.
        key = (sample.driving.is_url, *(getattr(sample, name) for name in ROW_OPTIONS))
        if sample.driving.is_url or key not in self._known:
            self._known[key] = self._error(sample)
        error = self._known[key]
        return None if error is None else Fault(sample.row, error.code, error.message, sample.id)

    def _error(self, sample: Sample) -> AnimatorError | None:
        if sample.weights not in self._kinds:
            self._kinds[sample.weights] = self._kind(sample.weights)
        kind = self._kinds[sample.weights]
        try:
            spec = self._options.spec(sample, "/output.mp4")
            if spec.detector == self._settings.detector:  # which may be of the other kind's
                spec = replace(spec, detector="auto")
            if kind is not None:
                check_options(spec, kind)
        except AnimatorError as error:
            return error.with_traceback(None)
        return None

    def _kind(self, weights: str) -> SubjectKind | None:
        try:
            return check_weights(weights, self._settings)
        except AnimatorError:  # which is another check's
            return None


class WeightsCheck:
    """Whether weights can be used, as far as their header tells.

    Args:
        settings: where the library is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, AnimatorError | None] = {}

    def check(self, sample: Sample) -> Fault | None:
        """The fault of a sample, with a code of `animator.weights.subjects.check_weights`."""
        if sample.weights not in self._known:
            self._known[sample.weights] = self._error(sample.weights)
        error = self._known[sample.weights]
        return None if error is None else Fault(sample.row, error.code, error.message, sample.id)

    def _error(self, weights: str) -> AnimatorError | None:
        try:
            check_weights(weights, self._settings)
        except AnimatorError as error:
            return error.with_traceback(None)
        return None


def find_modified(places: Iterable[Location], settings: Settings) -> dict[str, float]:
    """When files were modified, in seconds since 1970; `ALWAYS` where that cannot be told.

    Args:
        places: absolute paths and URLs.
        settings: which URLs are allowed.

    Raises:
        AnimatorError: `storage_unavailable` if a store keeps failing.
    """
    found, remote = dict[str, float](), list[Location]()
    for place in places:
        if place.is_url:
            remote.append(place)
        else:
            found[place] = _local_modified(place)
    if remote:
        stores = _stores(remote, settings)
        pool = ThreadPoolExecutor(_QUESTIONS)
        try:
            times = pool.map(lambda place: _remote_modified(place, stores), remote)
            found.update(zip(remote, times, strict=True))
        finally:  # a store that is away is away for all: the others are not waited for
            pool.shutdown(cancel_futures=True)
    return found


def _input_error(path: str) -> AnimatorError | None:
    try:
        check_input(path, pictures=True)
    except AnimatorError as error:
        return error.with_traceback(None)
    return None


def _local_modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return ALWAYS


def _stores(places: Iterable[Location], settings: Settings) -> dict[str, Storage | None]:
    """The stores of the folders in which the files are; None for one that cannot be asked."""
    stores: dict[str, Storage | None] = {}
    for folder in {place.folder for place in places}:
        try:
            stores[folder] = Storage.open(folder, settings)
        except AnimatorError:
            stores[folder] = None
    return stores


def _remote_modified(place: Location, stores: dict[str, Storage | None]) -> float:
    store = stores[place.folder]
    if store is None:
        return ALWAYS
    try:
        info = store.info(place.name)
    except AnimatorError as error:
        if error.code == "storage_unavailable":
            raise
        return ALWAYS  # the job says what is wrong
    return ALWAYS if info is None or info.modified is None else info.modified
