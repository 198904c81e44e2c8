"""Checks of a job that take no time, made before it is queued or run.

A user's mistake is told at once instead of by a worker later. What needs the files to be opened and
decoded is left to the pipeline.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from animator.errors import AnimatorError
from animator.files.local import check_input, check_location, check_suffix
from animator.files.output import refuse_other_files
from animator.files.poses import file_of
from animator.files.sequence import is_sequence, name_expression, pictures_of
from animator.files.urls import check_url
from animator.formats import check_format
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.views.turntable import read_view_path
from animator.weights.subjects import SubjectKind, check_options, check_weights


def check_files(
    spec: JobSpec,
    settings: Settings,
    *,
    overwrite: bool = False,
    suffixes: tuple[str, ...] | None = None,
) -> None:
    """Check that the inputs can be read, the weights fit, and the output can be written.

    Of files that lie elsewhere, only whether the settings allow to use them.

    Args:
        spec: the job.
        settings: where the weights library is, and which URLs are allowed.
        overwrite: whether the output may replace a file.
        suffixes: what the output's name may end in; None for all that a job writes.

    Raises:
        AnimatorError: `no_such_file`, `not_a_file`, `unreadable_file`, `invalid_option`,
            `no_such_weights`, `weights_unreadable`, `weights_wrong_kind`, `output_exists`,
            `output_exists_as_folder`, `output_not_writable` or `url_refused`.
    """
    _check_inputs(spec, settings)
    check_subject(spec, check_weights(spec.weights, settings))
    _check_output(spec, overwrite, suffixes, settings)


def check_many(specs: Iterable[JobSpec], *, overwrite: bool, settings: Settings) -> None:
    """Check many jobs as `check_files` does, the weights that they share only once."""
    kinds: dict[str, SubjectKind] = {}
    for spec in specs:
        _check_inputs(spec, settings)
        if spec.weights not in kinds:
            kinds[spec.weights] = check_weights(spec.weights, settings)
        check_subject(spec, kinds[spec.weights])
        _check_output(spec, overwrite, None, settings)


def _check_inputs(spec: JobSpec, settings: Settings) -> None:
    check_location(spec.source, settings)
    for driving in spec.drivings.values():
        check_location(driving, settings)
    audio = spec.audio_file
    if audio is not None and audio.is_url:
        check_url(audio, settings)
    elif audio is not None:
        check_input(audio.plain)
    if spec.pose_file is not None:
        check_location(spec.pose_file, settings)


def check_subject(spec: JobSpec, kind: SubjectKind) -> None:
    """Check that a job's options and driving files are of use for what its weights animate.

    Raises:
        AnimatorError: `invalid_option`; `no_frames` for a folder that has no pictures;
            `invalid_view`.
    """
    check_options(spec, kind)
    if kind == "object" and not spec.driving.is_url:
        read_view_path(spec.driving.plain)
    for driving in spec.drivings.values():
        # For a face, joints are no motion.
        if kind == "face" and not driving.is_url and is_sequence(driving.plain):
            check_input(str(pictures_of(driving.plain)[0]))


def _check_output(
    spec: JobSpec, overwrite: bool, suffixes: tuple[str, ...] | None, settings: Settings
) -> None:
    # A URL: what its store allows shows when it is written.
    if spec.output.is_url:
        _check_name(spec.output, suffixes)
        if spec.output.startswith(("http://", "https://")):
            raise AnimatorError(
                "invalid_option", f"The output is {spec.output!r}; web servers are only read from."
            )
        check_url(spec.output, settings)
        return
    # A path: never over an input, over another file only if that is wanted.
    output = spec.output.path
    if output.is_dir() and not (suffixes is None and spec.output.endswith("/")):
        raise AnimatorError(
            "output_exists_as_folder",
            f"{spec.output!r} is a folder; give the name of a file in it.",
        )
    if suffixes is None and check_format(spec.output).kind == "pictures":
        _check_pictures(spec, overwrite)
        _check_folder(output.parent)
        return
    _check_name(spec.output, suffixes)
    if output.exists():
        for name, path in (*spec.inputs.items(), ("weights", spec.weights)):
            # Rows of a table, and patterns of names, are no files themselves.
            file = file_of(path)
            if os.path.isabs(file) and os.path.exists(file) and output.samefile(file):
                raise AnimatorError("invalid_option", f"The output is the {name} file itself.")
        if not overwrite:
            raise AnimatorError("output_exists", f"{spec.output!r} exists; --force replaces it.")
    _check_folder(output.parent)


def _check_name(output: Location, suffixes: tuple[str, ...] | None) -> None:
    if suffixes is None:
        check_format(output)
    else:
        check_suffix(output, suffixes)


def _check_pictures(spec: JobSpec, overwrite: bool) -> None:
    """Check that pictures one by one can go where they are to, and not over inputs."""
    output, path = spec.output, spec.output.path
    for name, given in {"source": spec.source, **spec.drivings}.items():
        if _replaces(output, given):
            raise AnimatorError("invalid_option", f"The output would replace the {name} pictures.")
    if not output.endswith("/"):
        known = name_expression(path.name)
        there = path.parent.is_dir() and any(map(known.fullmatch, os.listdir(path.parent)))
    else:
        if path.exists() and not path.is_dir():
            message = f"{output!r} is a file; pictures go into a folder."
            raise AnimatorError("output_not_writable", message)
        refuse_other_files(path)
        there = path.is_dir() and bool(os.listdir(path))
    if there and not overwrite:
        message = f"There are pictures at {output!r}; --force replaces them."
        raise AnimatorError("output_exists", message)


def _replaces(output: Location, given: Location) -> bool:
    """Whether pictures at the output would take the place of an input, or of pictures of it."""
    if given.is_url:
        return False
    pictures = pictures_of(given.path) if is_sequence(given.path) else [given.path]
    folder = output.path if output.endswith("/") else output.path.parent
    name = re.compile(".*") if output.endswith("/") else name_expression(output.name)
    real = os.path.realpath(folder)
    return any(
        name.fullmatch(one.name) and os.path.realpath(one.parent) == real for one in pictures
    )


def _check_folder(folder: Path) -> None:
    # The folder is not made: a mistyped one should not come into being.
    if not folder.is_dir():
        raise AnimatorError("output_not_writable", f"There is no folder {str(folder)!r}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise AnimatorError(
            "output_not_writable", f"The folder {str(folder)!r} may not be written by this user."
        )
