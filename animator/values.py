"""Values of a job: how an option is described, what a value may look like, how text is read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints
from urllib.parse import unquote, urlsplit

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
_USER = re.compile(r"://.*@", re.DOTALL)
BROKER_SCHEMES = ("redis", "rediss", "redis+socket")
_USER_IN_TEXT = re.compile(r"://[^\s'\"]*@")
_DATABASE = re.compile(r"(/\d{0,5})?", re.ASCII)
_SOCKET = re.compile(r"/.+")
_UNQUOTED_PERCENT = re.compile(r"%(?![0-9a-fA-F]{2})")
_KEY = re.compile(r"[!-~]{1,200}", re.ASCII)
_OWNER = re.compile(r"[A-Za-z0-9._-]{0,64}", re.ASCII)


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


def check_owner(got: object) -> None:
    """Refuse what is no name of an owner; the empty one is that of nobody in particular."""
    if not isinstance(got, str) or not _OWNER.fullmatch(got):
        raise refuse("owner", got, "up to 64 letters, digits, dots, hyphens and underscores")


def refuse(name: str, got: object, allowed: str) -> AnimatorError:
    """The error for a value that is not allowed."""
    return AnimatorError("invalid_option", f"{name} is {got!r}; allowed is {allowed}.")


def check_choice(name: str, got: object, choice: object) -> None:
    """Refuse what is none of the values of a `Literal`."""
    allowed = get_args(choice)
    if got not in allowed:
        raise refuse(name, got, ", ".join(allowed))


OptionKind = Literal["choice", "number", "flag", "text", "location"]


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
        if self.kind == "number" and not self.is_number(got):
            usual = {None: "a number", 1: "a whole number", 2: "an even number"}
            what = usual.get(self.step, f"a multiple of {self.step}")
            raise refuse(self.name, got, f"{what} from {self.minimum:g} to {self.maximum:g}")

    def is_number(self, got: object) -> bool:
        """Whether it is a number that the option may be."""
        if isinstance(got, bool) or not isinstance(got, (int, float)):
            return False
        if self.step is not None and (not isinstance(got, int) or got % self.step):
            return False
        low, high = self.minimum, self.maximum
        return (low is None or got >= low) and (high is None or got <= high)  # NaN is neither


def offered(
    help: str,
    group: str = "",
    *,
    shown: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    step: int | None = None,
    order: int = 0,
) -> Mapping[str, Any]:
    """The metadata of a field of a dataclass that is an option, described as `Option` says."""
    about = {"help": help, "group": group, "shown": shown, "order": order}
    return {"option": {**about, "minimum": minimum, "maximum": maximum, "step": step}}


def option(default: Any, help: str, group: str = "", **about: Any) -> Any:
    """A field with a default that is an option, described as in `offered`."""
    return field(default=default, metadata=offered(help, group, **about))


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
            name, default = item.name, None if item.default is MISSING else item.default
            found[name] = Option(name, _kind(hint), hint, default, choices=choices, **about)
    return found


def _kind(hint: Any) -> OptionKind:
    if get_origin(hint) is Literal:
        return "choice"
    kinds: dict[Any, OptionKind] = {
        **{bool: "flag", int: "number", float: "number", Location: "location"}
    }
    return kinds.get(hint, "text")


def check_path(name: str, got: object, allowed: str = "an absolute path") -> None:
    """Refuse what is not an absolute path."""
    if not isinstance(got, str) or not os.path.isabs(got) or "\0" in got:
        raise refuse(name, got, allowed)


def is_url(text: str) -> bool:
    """Whether a text is a URL rather than a path: it begins with a scheme and `://`."""
    return _URL.match(text) is not None


def shown_url(text: str) -> str:
    """A location as messages show it: without user and password, however they were quoted."""
    return _USER.sub("://...@", text) if is_url(text) else text


def without_users(text: str) -> str:
    """A sentence, such as another library's error, without the users and passwords of its URLs."""
    return _USER_IN_TEXT.sub("://...@", text)


def check_broker_url(url: str) -> None:
    """Refuse what is not exactly an address of a Redis.

    What a parser makes of a wrong address holds parts of the password, and so do its errors; so
    an address is looked at here, before any of them sees it, and nothing of it is repeated.

    Raises:
        AnimatorError: `invalid_option`.
    """
    allowed = ", ".join(f"{name}://..." for name in BROKER_SCHEMES)
    wrong = AnimatorError(
        "invalid_option",
        f"ANIMATOR_BROKER_URL is not the address of a Redis; allowed is {allowed}. In its user and "
        "password / ? # @ and % are written %2F %3F %23 %40 and %25.",
    )
    try:
        parts = urlsplit(url)
        port, path, query = parts.port, parts.path, parts.query
    except ValueError:
        raise wrong from None
    # What follows the host: the number of a database; of a socket, its path.
    socket = parts.scheme == "redis+socket"
    known = _SOCKET.fullmatch(path) if socket else _DATABASE.fullmatch(path)
    where = bool(path.strip("/")) if socket else port != 0
    if parts.netloc and ("@" in path or "@" in query or (socket and parts.hostname)):
        known = None
    plain = url.isprintable() and "#" not in url and url.count("@") <= 1
    queried = not query or all("=" in pair for pair in query.split("&"))
    quoted = not _UNQUOTED_PERCENT.search(url)
    usable = parts.scheme in BROKER_SCHEMES and is_url(url) and known and where
    if not (usable and plain and queried and quoted):
        raise wrong


def plain_location(text: str) -> str:
    """A path from the root, or a URL; `file:` URLs become paths.

    Raises:
        AnimatorError: `invalid_option` for what is no URL, or a `file:` URL of another host.
    """
    if not is_url(text):
        return os.path.abspath(text)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - raises for nonsense
    except ValueError:
        # Not in the parser's words, which may hold a password.
        raise AnimatorError("invalid_option", f"{shown_url(text)!r} is no URL.") from None
    if parts.scheme not in ("file", "local"):
        return text
    if parts.netloc not in ("", "localhost"):
        message = f"{shown_url(text)!r} names another machine; a file URL is file:///PATH."
        raise AnimatorError("invalid_option", message)
    return os.path.abspath(unquote(parts.path))


def split_location(location: str) -> tuple[str, str]:
    """The folder of a file and its name in it."""
    folder, _, name = location.rpartition("/")
    return folder or "/", name


class Location(str):
    """Where a file is: an absolute path or a URL, checked when it is made.

    It is the text as it was given, so that records, messages, `open` and JSON take it as they take
    any text. `animator.files.urls` says which URLs are allowed.

    Args:
        given: an absolute path or a URL.
        name: what the error calls it.

    Attributes:
        plain: the same place as a path from the root, or a URL; `file:` URLs are paths.

    Raises:
        AnimatorError: `invalid_option`.
    """

    plain: str

    def __new__(cls, given: str | os.PathLike[str], name: str = "location") -> Location:
        """Check the text; a location itself is returned as it is."""
        if isinstance(given, cls):
            return given
        text = given.__fspath__() if isinstance(given, os.PathLike) else given
        if not (isinstance(text, str) and len(text) <= MAX_LOCATION and is_url(text)):
            check_path(name, text, _LOCATIONS)
        elif not text.isprintable() or text.endswith("/"):
            raise refuse(name, shown_url(text), _LOCATIONS)
        made = super().__new__(cls, text)
        made.plain = plain_location(text)
        return made

    def __deepcopy__(self, memo: object) -> Location:
        return self  # it cannot change; `dataclasses.asdict` copies each

    @property
    def is_url(self) -> bool:
        """Whether the file lies elsewhere than in this machine's file systems."""
        return is_url(self.plain)

    @property
    def path(self) -> Path:
        """The absolute path, where it is no URL."""
        return Path(self.plain)

    @property
    def folder(self) -> str:
        """What is before the last slash of the plain form."""
        return split_location(self.plain)[0]

    @property
    def name(self) -> str:
        """What is after the last slash of the plain form."""
        return split_location(self.plain)[1]


_LOCATIONS = "an absolute path, or a URL such as s3://BUCKET/NAME"


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


def plain(text: bytes) -> str:
    """What Redis holds as text; bytes that are none are shown as numbers."""
    return text.decode(errors="backslashreplace")


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
