"""Values of a job: how an option is described, what a value may look like, how text is read."""

from __future__ import annotations

import json
import os.path
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, Literal, get_args, get_origin, get_type_hints

from animator.errors import AnimatorError

DEFAULT_WEIGHTS_NAME = "default"
"""What the weights that are shipped are called."""
MAX_WEIGHTS_NAME = 64
_WEIGHTS_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_WEIGHTS_NAME - 1}}}", re.ASCII)
_FILE_SUFFIXES = (".safetensors", ".pth", ".pt", ".json")

DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?", re.ASCII)
_CLOCK = re.compile(r"(?:(?:(\d{1,4}):)?([0-5]?\d):)?(\d{1,7}(?:\.\d{1,9})?)", re.ASCII)
_RATIO = re.compile(r"(\d{1,12})/([1-9]\d{0,11})", re.ASCII)
_WEBHOOK = re.compile(r"https?://[^\s/?#@\\]+([/?][!-~]*)?", re.ASCII | re.IGNORECASE)
MAX_WEBHOOK = 2000
_URL = re.compile(r"[a-z][a-z0-9+.-]{1,30}://", re.ASCII)
MAX_LOCATION = 4096
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)


def is_weights_name(text: str) -> bool:
    """Whether weights may be called so: 1 to 64 letters, digits, dots, hyphens and underscores.

    A name begins with a letter or a digit and does not end like a file's, so that it is never
    mistaken for a path.
    """
    return _WEIGHTS_NAME.fullmatch(text) is not None and not text.lower().endswith(_FILE_SUFFIXES)


def parse_time(text: str) -> Fraction:
    """Seconds from `12`, `12.5`, `1:02.5` (minutes), `1:02:03` (hours) or `1001/30` (a ratio).

    Raises:
        AnimatorError: `invalid_option` if the text has none of these forms.
    """
    text = text.strip()
    if ratio := _RATIO.fullmatch(text):
        return Fraction(int(ratio[1]), int(ratio[2]))
    clock = _CLOCK.fullmatch(text)
    if clock is None or (clock[2] is not None and Fraction(clock[3]) >= 60):
        raise AnimatorError(
            "invalid_option",
            f"{text!r} is not a time; give seconds (12.5), minutes and seconds (1:02.5) or "
            "hours (1:02:03).",
        )
    hours, minutes, seconds = clock.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + Fraction(seconds)


def check_webhook(got: object) -> None:
    """Refuse what is not an address of a web server; whether it is allowed is for the sender."""
    known = isinstance(got, str) and len(got) <= MAX_WEBHOOK and _WEBHOOK.fullmatch(got)
    if not known:
        # The address may hold a secret, so it is not repeated.
        raise AnimatorError(
            "invalid_option",
            f"webhook is not an address; allowed is http://HOST... or https://HOST..., without "
            f"user and password, of at most {MAX_WEBHOOK} characters.",
        )


def check_key(got: object) -> None:
    """Refuse a key that could not be typed again."""
    if not isinstance(got, str) or not _KEY.fullmatch(got):
        raise refuse("key", got, "1 to 200 printable ASCII characters without spaces")


def refuse(name: str, got: object, allowed: str) -> AnimatorError:
    """The error for a value that is not allowed."""
    return AnimatorError("invalid_option", f"{name} is {got!r}; allowed is {allowed}.")


def check_choice(name: str, got: object, choice: object) -> None:
    """Refuse what is none of the values of a `Literal`."""
    allowed = get_args(choice)
    if got not in allowed:
        raise refuse(name, got, ", ".join(allowed))


OptionKind = Literal["choice", "number", "flag", "text"]


@dataclass(frozen=True)
class Option:
    """An option of a job, as commands, tables, forms and documents offer it."""

    name: str
    kind: OptionKind
    type: Any
    """The annotation of its field."""
    default: Any
    help: str
    """One line for a person."""
    group: str
    """The heading that it stands under; empty for none."""
    order: int
    """Its place under that heading, from the lowest."""
    choices: tuple[str, ...]
    """All values of a choice; else none."""
    minimum: float | None
    """Of a number; so are the next two."""
    maximum: float | None
    step: int | None
    """What it is a multiple of; None for any number."""
    shown: str
    """How help shows its value."""

    def check(self, got: object) -> None:
        """Refuse a choice, a number or a flag that is none; of a text nothing is known here.

        Raises:
            AnimatorError: `invalid_option`.
        """
        if self.kind == "choice" and got not in self.choices:
            raise refuse(self.name, got, ", ".join(self.choices))
        if self.kind == "flag" and not isinstance(got, bool):
            raise refuse(self.name, got, "true or false")
        if self.kind == "number" and not self._is_number(got):
            usual = {None: "a number", 1: "a whole number", 2: "an even number"}
            what = usual.get(self.step, f"a multiple of {self.step}")
            raise refuse(self.name, got, f"{what} from {self.minimum:g} to {self.maximum:g}")

    def _is_number(self, got: object) -> bool:
        if isinstance(got, bool) or not isinstance(got, (int, float)):
            return False
        if self.step is not None and (not isinstance(got, int) or got % self.step):
            return False
        low, high = self.minimum, self.maximum
        return (low is None or got >= low) and (high is None or got <= high)  # NaN is neither


def option(
    default: Any,
    help: str,
    group: str = "",
    *,
    shown: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    step: int | None = None,
    order: int = 0,
) -> Any:
    """A field of a dataclass that is an option, described as `Option` says."""
    about: dict[str, Any] = {"help": help, "group": group, "shown": shown, "order": order}
    about |= {"minimum": minimum, "maximum": maximum, "step": step}
    return field(default=default, metadata={"option": about})


def options_of(kind: type) -> dict[str, Option]:
    """The options among the fields of a dataclass, by name and in their order."""
    hints, found = get_type_hints(kind), {}
    for item in fields(kind):
        if "option" in item.metadata:
            hint, about = hints[item.name], dict(item.metadata["option"])
            choices = get_args(hint) if get_origin(hint) is Literal else ()
            about["shown"] = about["shown"] or "|".join(choices).join("[]") * bool(choices)
            if hint is int:
                about["step"] = about["step"] or 1
            name, default = item.name, item.default
            found[name] = Option(name, _kind(hint), hint, default, choices=choices, **about)
    return found


def _kind(hint: Any) -> OptionKind:
    if get_origin(hint) is Literal:
        return "choice"
    return _KINDS.get(hint, "text")


_KINDS: dict[Any, OptionKind] = {bool: "flag", int: "number", float: "number"}


def check_path(name: str, got: object, allowed: str = "an absolute path") -> None:
    """Refuse what is not an absolute path."""
    if not isinstance(got, str) or not os.path.isabs(got) or "\0" in got:
        raise refuse(name, got, allowed)


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path: it begins with a scheme and `://`."""
    return _URL.match(text) is not None


def check_location(name: str, got: object) -> None:
    """Refuse what is neither an absolute path nor a URL.

    `animator.files.urls` says which are allowed.
    """
    if isinstance(got, str) and len(got) <= MAX_LOCATION and is_url(got):
        if got.isprintable() and not got.endswith("/"):
            return
    check_path(name, got, "an absolute path, or a URL such as s3://BUCKET/NAME")


def load_fields(kind: type, text: str | bytes, what: str) -> dict[str, Any]:
    """The fields of a dataclass from a JSON object; what a newer version wrote besides is left."""
    known = {item.name for item in fields(kind)}
    return {name: value for name, value in load_object(text, what).items() if name in known}


def load_object(text: str | bytes, what: str) -> dict[str, Any]:
    """The names and values of a JSON object; `what` it is goes into the error."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise AnimatorError("invalid_option", f"The {what} is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise AnimatorError("invalid_option", f"The {what} is not a JSON object.")
    return value


_ENTRY = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]*:[0-9a-f:.]+", re.ASCII)


def is_host_entry(text: str) -> bool:
    """Whether it can stand in the list of hosts: a name, an address, `*.example.com` or `*`."""
    return _ENTRY.fullmatch(text) is not None


def now() -> str:
    """The present time as records hold it: UTC, ISO 8601, milliseconds."""
    return iso(datetime.now(UTC))


def iso(moment: datetime) -> str:
    """A moment as records hold it; such texts sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
