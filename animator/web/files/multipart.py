"""Forms with files (multipart/form-data), taken from the network as they come.

Text is kept in memory, in bounds; files go to where the caller has them written, in large pieces
and in a thread, so that neither the event loop nor the memory notices how large they are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

import anyio
from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from animator.errors import AnimatorError
from animator.web.files.looking import in_a_thread_of_its_own
from animator.web.files.uploads import Incoming, Upload

MOST_FIELDS = 64
MOST_FILES = 4
MOST_TEXT = 64 * 1024
"""Bytes of one text field."""
_MOST_AROUND = 2 * 1024**2  # bytes of a body that are of no file
_MOST_HEADERS, _MOST_HEADER = 8, 4096
_MOST_NAME = 200
_BATCH = 1 << 20  # bytes that are written at once
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]", re.ASCII)
_FILE_NAME = re.compile(r"filename\*\s*=\s*utf-8'[^';\s]*'([^;\s]+)", re.ASCII | re.IGNORECASE)

# It would write a line for each form that a stranger has got wrong, who is told of it.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

OpenFile = Callable[[str, str], Incoming]
"""Begins a file; it is given the field's name and what the file is called."""
Check = Callable[[Mapping[str, str]], None]


@dataclass
class Form:
    """A form that was read.

    Attributes:
        fields: the texts by name; of several of one name the last.
        texts: all texts by name.
        files: the files by name, which have to be finished or abandoned.
    """

    fields: dict[str, str] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, Incoming] = field(default_factory=dict)

    async def finish(self) -> dict[str, Upload]:
        """Look at the files, and have them as uploads, by the names of their fields.

        Raises:
            AnimatorError: those of `Incoming.finish`; the files after it are abandoned.
        """
        try:
            return {name: await finish(file) for name, file in self.files.items()}
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """Give up the files that were not finished."""
        await _abandon(list(self.files.values()))


async def finish(file: Incoming) -> Upload:
    """Finish a file without holding up anybody; errors as of `Incoming.finish`."""
    return await in_a_thread_of_its_own(file.finish, file.owner)


async def read_form(
    request: Request,
    open_file: OpenFile,
    *,
    before_files: Check = lambda fields: None,
    most_files: int = MOST_FILES,
) -> Form:
    """Read a form from a request's body.

    Args:
        request: whose body was not read yet.
        open_file: begins a file; called in a thread. A field for a file that was left empty is
            none.
        before_files: is asked with the texts that came so far before the first file is begun, and
            again with all of them if there was no file; what it raises ends the form.
        most_files: how many files are taken.

    Raises:
        AnimatorError: `bad_request` for what is no such form, or too many or too long fields; what
            `open_file`, `before_files` and the files raise. No file is left then.
    """
    parts = _Parts(_boundary(request), most_files)
    form = Form()
    writer = _Writer(open_file, before_files, form)
    try:
        async for block in _blocks(request):
            for event in parts.feed(block):
                await writer.take(event)
        if not parts.complete:
            raise _bad("The form breaks off before its end.")
        await writer.end()
    except BaseException:
        await form.abandon()
        raise
    return form


async def read_file(request: Request, begin: Callable[[], Incoming]) -> Incoming:
    """Read a request's body as one file, which has to be finished or abandoned.

    Raises:
        AnimatorError: those of `begin` and of the file, which is not left then.
    """
    file = await to_thread.run_sync(begin)
    buffer = bytearray()
    try:
        async for block in _blocks(request):
            buffer += block
            if len(buffer) >= _BATCH:
                await to_thread.run_sync(file.write, bytes(buffer))
                buffer.clear()
        if buffer:
            await to_thread.run_sync(file.write, bytes(buffer))
    except BaseException:
        await _abandon([file])
        raise
    return file


def file_name(content_disposition: str) -> str | None:
    """What a Content-Disposition header calls its file; None if it names none."""
    _, options = parse_options_header(content_disposition)
    if extended := _FILE_NAME.search(content_disposition):
        return unquote_to_bytes(extended[1]).decode(errors="replace")
    plain = options.get(b"filename")
    return None if plain is None else _decode(plain)


@dataclass(frozen=True)
class _Begin:
    """A part begins: a file if it has a file's name."""

    name: str
    file_name: str | None


@dataclass(frozen=True)
class _Data:
    content: bytes


@dataclass(frozen=True)
class _End:
    pass


_Event = _Begin | _Data | _End


class _Parts:
    """The parts of a form, from the bytes of its body."""

    def __init__(self, boundary: str, most_files: int) -> None:
        self.complete = False
        self._most_files = most_files
        self._events: list[_Event] = []
        self._name, self._value = bytearray(), bytearray()
        self._disposition: bytes | None = None
        self._fields = self._files = self._size = self._of_files = self._of_text = 0
        self._is_file = False
        self._parser = MultipartParser(
            boundary.encode(),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_begin": self._on_header_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=_MOST_HEADERS,
            max_header_size=_MOST_HEADER,
        )

    def feed(self, block: bytes) -> list[_Event]:
        """What the next bytes of the body bring.

        Raises:
            AnimatorError: `bad_request`.
        """
        self._events = []
        self._size += len(block)
        try:
            self._parser.write(block)
        except FormParserError as error:
            raise _bad("The form is not as multipart/form-data has to be.") from error
        if self._size - self._of_files > _MOST_AROUND:
            raise _bad(f"The form has more than {_MOST_AROUND} bytes beside its files.")
        return self._events

    def _on_part_begin(self) -> None:
        self._disposition = None
        self._of_text = 0

    def _on_header_begin(self) -> None:
        self._name.clear()
        self._value.clear()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            if self._disposition is not None:
                raise _bad("A part of the form has two Content-Disposition headers.")
            self._disposition = bytes(self._value)

    def _on_headers_finished(self) -> None:
        # As browsers write it: UTF-8, with quotes as %22; others write Latin-1.
        header = (self._disposition or b"").decode("latin-1")
        kind, options = parse_options_header(header)
        name = _decode(options.get(b"name", b""))
        if kind != b"form-data" or not name or len(name) > _MOST_NAME or not name.isprintable():
            raise _bad("A part of the form has no name, or one that is too long.")
        called = file_name(header)
        self._is_file = called is not None
        self._files += self._is_file
        self._fields += not self._is_file
        if self._files > self._most_files or self._fields > MOST_FIELDS:
            message = f"The form has more than {self._most_files} files or {MOST_FIELDS} fields."
            raise _bad(message)
        self._events.append(_Begin(name, called))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._of_files += end - start
        else:
            self._of_text += end - start
            if self._of_text > MOST_TEXT:
                raise _bad(f"A field of the form has more than {MOST_TEXT} bytes.")
        self._events.append(_Data(data[start:end]))

    def _on_part_end(self) -> None:
        self._events.append(_End())

    def _on_end(self) -> None:
        self.complete = True


class _Writer:
    """Puts what a form brings where it belongs."""

    def __init__(self, open_file: OpenFile, before_files: Check, form: Form) -> None:
        self._open_file, self._before_files, self._form = open_file, before_files, form
        self._asked = False
        self._part: _Begin | None = None
        self._buffer = bytearray()
        self._file: Incoming | None = None

    async def take(self, event: _Event) -> None:
        """Take the next thing."""
        if isinstance(event, _Begin):
            self._part, self._file = event, None
            self._buffer.clear()
        elif isinstance(event, _Data):
            self._buffer += event.content
            if self._is_file and len(self._buffer) >= _BATCH:
                await self._write()
        else:
            await self._end_part()

    async def end(self) -> None:
        """The form has ended."""
        await self._ask()

    @property
    def _is_file(self) -> bool:
        return self._part is not None and self._part.file_name is not None

    async def _end_part(self) -> None:
        assert self._part is not None
        if not self._is_file:
            text = _text(self._part.name, bytes(self._buffer))
            self._form.fields[self._part.name] = text
            self._form.texts.setdefault(self._part.name, []).append(text)
        elif self._buffer or self._file is not None or self._part.file_name:
            await self._write()  # also nothing, so that an empty file is one
        self._part = None

    async def _write(self) -> None:
        assert self._part is not None
        if self._file is None:
            await self._ask()
            name = self._part.name
            if name in self._form.files:
                raise _bad(f"The form has two files called {name!r}.")
            file = await to_thread.run_sync(self._open_file, name, self._part.file_name or "")
            self._file = self._form.files[name] = file
        if self._buffer:
            content = bytes(self._buffer)
            self._buffer.clear()
            await to_thread.run_sync(self._file.write, content)

    async def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            fields = dict(self._form.fields)
            await to_thread.run_sync(self._before_files, fields)


async def _blocks(request: Request) -> AsyncIterator[bytes]:
    try:
        async for block in request.stream():
            if block:
                yield block
    except ClientDisconnect as error:
        raise AnimatorError("bad_request", "The request breaks off.") from error


async def _abandon(files: list[Incoming]) -> None:
    # Also where the request itself is being cancelled.
    with anyio.CancelScope(shield=True):
        for file in files:
            await to_thread.run_sync(file.abandon)


def _boundary(request: Request) -> str:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise _bad("The request is no form; its Content-Type must be multipart/form-data.")
    boundary = options.get(b"boundary", b"").decode("latin-1")
    if not _BOUNDARY.fullmatch(boundary):
        raise _bad("The Content-Type of the form lacks its boundary, or has one that is none.")
    return boundary


def _decode(name: bytes) -> str:
    """A name as browsers write it: UTF-8 in which a quote is %22; others write Latin-1."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        text = name.decode("latin-1")
    return text.replace("%22", '"')


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _bad(f"The field {name!r} is not text in UTF-8.") from error


def _bad(message: str) -> AnimatorError:
    return AnimatorError("bad_request", message)
