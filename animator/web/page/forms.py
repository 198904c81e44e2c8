"""The fields of the page's form, made from the table of all options of a job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from animator.errors import AnimatorError
from animator.formats import FormatName, default_suffix, format_of
from animator.record import JobRecord
from animator.spec import FILE_OPTIONS, OPTIONS, JobOptions, JobSpec
from animator.values import Location, Option, refuse

FILES = ("source", "driving")
"""Options that are files, which the page takes in its own way."""
MADE_HERE = ("output", "driving_fps", "source_pose")
"""Options that no form asks for: the server chooses where a video goes, and takes neither folders
nor joints."""
FORMAT = Option(
    name="format",
    kind="choice",
    type=FormatName,
    default="mp4",
    help="What the result is written as.",
    group=OPTIONS["codec"].group,
    order=0,
    choices=get_args(FormatName),
    minimum=None,
    maximum=None,
    step=None,
    shown="",
)
"""What the server's outputs are, whose names it makes itself."""
_PLACE = list(OPTIONS).index(FILE_OPTIONS[0])
OFFERED: Mapping[str, Option] = {
    item.name: item
    for item in (*list(OPTIONS.values())[:_PLACE], FORMAT, *list(OPTIONS.values())[_PLACE:])
}
"""All that the page offers, in its order."""
SHOWN = ("output_mode", "motion", "size", "start", "end")
"""Options that are always seen, in this order; others are folded away."""
_PICTURED = ("output_mode", "motion")
"""Choices that are shown all at once."""
_ANYWHERE = Location("/anywhere")
_SOUNDS = ("driving", "source", "none")
"""Those of the page; a request over HTTP may name a file, too."""
_DIGITS = 13
_LONGEST = 2000
_SHOWN = 300
"""Characters of a value, and of a sentence about one."""
_OF_QUEUE = {item.name for item in fields(JobOptions)}

Control = Literal["radio", "select", "number", "check", "text"]


@dataclass(frozen=True)
class Field:
    """A field of the form.

    Attributes:
        option: what it is for.
        value: what stands in it; empty for the default of an option that may be left out.
        choices: all values, if they are known.
        error: what is wrong with the value, in a sentence; empty if nothing is.
    """

    option: Option
    value: str
    choices: tuple[str, ...] = ()
    error: str = ""

    @property
    def name(self) -> str:
        """The name under which it is sent."""
        return self.option.name

    @property
    def control(self) -> Control:
        """What it is entered with."""
        if self.choices:
            return "radio" if self.name in _PICTURED else "select"
        return {"number": "number", "flag": "check"}.get(self.option.kind, "text")  # type: ignore

    @property
    def step(self) -> str:
        """What the browser lets a number be a multiple of."""
        return "any" if self.option.step is None else str(self.option.step)

    @property
    def changed(self) -> bool:
        """Whether it has another value than by default."""
        return self.value != written(self.option.default)


@dataclass(frozen=True)
class OptionForm:
    """The fields of the form.

    Attributes:
        shown: those that are always seen, by name.
        folded: the others, under the headings of their groups.
    """

    shown: Mapping[str, Field]
    folded: Mapping[str, Sequence[Field]]

    @property
    def open(self) -> bool:
        """Whether there is something to see among those that are folded away."""
        folded = [field for group in self.folded.values() for field in group]
        return any(field.changed or field.error for field in folded)


def option_names() -> list[str]:
    """Names of the options that the form has a field for, in the order of the table."""
    return [name for name in OFFERED if name not in FILES + MADE_HERE]


def option_form(
    values: Mapping[str, str], errors: Mapping[str, str], weights: Iterable[str]
) -> OptionForm:
    """The form with values in it.

    Args:
        values: of some options, as texts; the rest has its default.
        errors: sentences by name of the option that they are about.
        weights: names that can be chosen.
    """
    made = {}
    for name in option_names():
        option = OFFERED[name]
        value = values.get(name, written(option.default))
        choices = {"weights": tuple(weights), "audio": _SOUNDS}.get(name, option.choices)
        if choices and value not in choices:
            # A wrong value cannot be shown as chosen, and weights may be gone by now.
            value = written(option.default)
        made[name] = Field(option, value, choices, errors.get(name, ""))
    folded: dict[str, list[Field]] = {}
    for field in made.values():
        if field.name not in SHOWN:
            folded.setdefault(field.option.group, []).append(field)
    return OptionForm({name: made[name] for name in SHOWN}, folded)


def read_options(values: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The options that a form was sent with, and what is wrong with them.

    Fields that are empty or not there have their default. Each option is checked by itself, so
    that every wrong one is named.

    Returns:
        The values of options that are right, by name, and sentences about the others.
    """
    right: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for name in option_names():
        option, text = OFFERED[name], values.get(name, "").strip()
        if option.kind == "flag":
            right[name] = bool(text)
        elif len(text) > _LONGEST:
            wrong[name] = f"{name} has {len(text)} characters; allowed are {_LONGEST}."
        elif text:
            try:
                value = _typed(option, text)
                _check(name, value)
            except AnimatorError as error:
                wrong[name] = error.message[:_SHOWN]
            else:
                right[name] = value
    # Two times that are right may still be the wrong way round.
    times = {name: right[name] for name in ("start", "end") if name in right}
    try:
        JobSpec(_ANYWHERE, _ANYWHERE, _ANYWHERE, **times)
    except AnimatorError as error:
        wrong["end"] = error.message[:_SHOWN]
        right.pop("end")
    _refuse_misfits(right, wrong)
    return right, wrong


def _refuse_misfits(right: dict[str, Any], wrong: dict[str, str]) -> None:
    """Move those to the wrong that do not go with the format that is asked for."""
    output = Location(f"/result{default_suffix(right.get('format', FORMAT.default))}")
    for name in FILE_OPTIONS:
        if name in right:
            try:
                codec = {"codec": right["codec"]} if name == "crf" and "codec" in right else {}
                JobSpec(_ANYWHERE, _ANYWHERE, output, **codec, **{name: right[name]})
            except AnimatorError as error:
                wrong[name] = error.message[:_SHOWN]
                right.pop(name)


def job_options(record: JobRecord) -> dict[str, Any]:
    """The values of all options of a job, by name."""
    spec = record.spec
    kind = format_of(spec.output)
    name = FORMAT.default if kind is None else kind.name
    return {**spec.as_dict(), **asdict(record.options), FORMAT.name: name}


def written(value: Any) -> str:
    """A value of an option as a field of the form holds it."""
    if value is None or value is False:
        return ""
    return "on" if value is True else str(value)


def _typed(option: Option, text: str) -> Any:
    """The value that a text stands for; one that is no number is left, and refused as it is."""
    if option.kind == "number":
        try:
            return float(text) if option.step is None else int(text)
        except ValueError:
            return text
    numbered = int in get_args(option.type) and text.isascii() and text.isdecimal()
    return int(text) if numbered and len(text) < _DIGITS else text


def _check(name: str, value: Any) -> None:
    """Refuse a value that an option cannot have."""
    if name in _OF_QUEUE:
        JobOptions(**{name: value})
    elif name == FORMAT.name:
        FORMAT.check(value)
    elif name == "audio" and value not in _SOUNDS:
        raise refuse(name, value, ", ".join(_SOUNDS))
    elif name == "face" and "=" in str(value):
        raise refuse(name, value, "largest, all, or the number of a face from 1")
    elif name == "weights" and value.startswith("/"):
        message = "weights is a path; allowed is the name of weights that are here."
        raise AnimatorError("invalid_option", message)
    elif name == "end":
        # By itself; that it lies behind the start is another question.
        JobSpec(_ANYWHERE, _ANYWHERE, _ANYWHERE, start=value)
    else:
        JobSpec(_ANYWHERE, _ANYWHERE, _ANYWHERE, **{name: value})
