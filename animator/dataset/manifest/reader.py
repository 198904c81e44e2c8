"""The manifest of a data set: a table in CSV, JSON Lines or Parquet, one sample a row."""

from __future__ import annotations

import io
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from animator.dataset.manifest.cells import RowDefaults, RowMaker
from animator.dataset.manifest.parquet import parquet_records
from animator.dataset.manifest.text import Broken, Ignored, Record, csv_records, jsonl_records
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.files.local import open_file
from animator.files.storage import Storage
from animator.files.urls import check_url
from animator.settings import Settings
from animator.values import is_url, plain_location, split_location

__all__ = ["Manifest", "RowDefaults", "read_manifest"]

_Reader = Callable[[BinaryIO, Ignored], Iterator[Record]]
_BUFFER = 1 << 20
_HEAD = 4096


class Manifest(Iterator[Sample | Fault]):
    """The rows of a manifest in their order, read as they are asked for.

    The file is open until the last row is read or `close` is called, or else as long as this object
    lives; a context manager, too.

    Attributes:
        rows: how many rows have been read.
    """

    def __init__(
        self, records: Iterator[Record], maker: RowMaker, ignored: Ignored, resources: ExitStack
    ) -> None:
        """Use `read_manifest`."""
        self.rows = 0
        self._records = records
        self._maker = maker
        self._ignored = ignored
        self._close = weakref.finalize(self, resources.close)

    @property
    def notes(self) -> list[str]:
        """Sentences that a person should read, such as which columns are ignored.

        They are complete when the last row has been read.
        """
        return self._ignored.notes()

    def __next__(self) -> Sample | Fault:
        try:
            record = next(self._records)
        except OSError as error:
            self.close()
            raise _unreadable(error) from error
        except BaseException:  # the end among them
            self.close()
            raise
        self.rows += 1
        if isinstance(record, Broken):
            return Fault(self.rows, record.code, record.message)
        return self._maker.make(self.rows, record)

    def close(self) -> None:
        """Close the file, and remove it if it was fetched."""
        self._close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_manifest(location: str, settings: Settings, defaults: RowDefaults) -> Manifest:
    """The samples of a manifest, and the faults of the rows of which none can be made.

    Columns are `source` and `driving`, and as far as they are wanted the others of
    `animator.dataset.samples.COLUMNS`; what is none of these is ignored. Names of files are
    relative to the manifest's folder. A row without an id gets one from its number and what it
    says. Spaces around a cell do not count, and an empty one is the default.

    Args:
        location: path or URL of a file that ends in `.csv`, `.jsonl`, `.ndjson` or `.parquet`;
            of another one its content is looked at.
        settings: which URLs are allowed, and how large the file may be.
        defaults: of cells that are empty or not there.

    Raises:
        AnimatorError: `no_such_file`, `not_a_file`, `unreadable_file`, `too_large`, `url_refused`,
            `storage_unavailable`, `missing_package`; `bad_manifest` for a file without rows or
            without a column that is needed. While rows are read only `bad_manifest` and
            `unreadable_file`, if the file turns out to be damaged.
    """
    location = plain_location(location)
    with ExitStack() as resources:
        path = _fetch(location, settings, resources) if is_url(location) else Path(location)
        file = resources.enter_context(open_file(path, settings.limits()))
        content = io.BufferedReader(file, _BUFFER)
        ignored = Ignored()
        try:
            reader = _reader(location, content.peek(_HEAD))
            if reader is None:
                records = parquet_records(file, ignored, settings, resources)
            else:
                records = reader(content, ignored)
            records = _first_read(records)
        except OSError as error:
            raise _unreadable(error) from error
        maker = RowMaker(split_location(location)[0], settings, defaults)
        return Manifest(records, maker, ignored, resources.pop_all())


def _fetch(location: str, settings: Settings, resources: ExitStack) -> Path:
    """The file of a URL on this machine; it is removed with the resources."""
    check_url(location, settings)
    folder, name = split_location(location)
    if not urlsplit(location).path.strip("/") or not name:
        raise AnimatorError("bad_manifest", f"{location!r} names no file.")
    storage = Storage.open(folder, settings)
    info = storage.info(name)
    if info is None:
        raise AnimatorError("no_such_file", f"There is no file {location!r}.")
    allowed = settings.limits().max_bytes
    if info.size is None or info.size > allowed:
        size = "an unknown number of" if info.size is None else info.size
        message = f"{location!r} has {size} bytes; {allowed} are allowed."
        raise AnimatorError("too_large", message)
    path = Path(resources.enter_context(tempfile.TemporaryDirectory())) / "manifest"
    storage.get(name, path)
    return path


def _unreadable(error: OSError) -> AnimatorError:
    message = f"The manifest cannot be read: {error.strerror or error}."
    return AnimatorError("unreadable_file", message)


def _reader(location: str, head: bytes) -> _Reader | None:
    """How the file is read, by its ending, or else by how it begins; None is Parquet."""
    kinds: dict[str, _Reader | None] = {
        ".csv": csv_records,
        ".jsonl": jsonl_records,
        ".ndjson": jsonl_records,
        ".parquet": None,
    }
    ending = Path(urlsplit(location).path if is_url(location) else location).suffix.lower()
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise AnimatorError("bad_manifest", "The manifest is UTF-16; it must be UTF-8.")
    if not head:
        raise AnimatorError("bad_manifest", "The manifest is empty.")
    if ending in kinds:
        return kinds[ending]
    if head.startswith(b"PAR1"):
        return None
    return jsonl_records if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") else csv_records


def _first_read(records: Iterator[Record]) -> Iterator[Record]:
    """The same records, of which the first has been read: there must be one."""
    first = next(records, None)
    if first is None:
        raise AnimatorError("bad_manifest", "The manifest has no rows.")

    def all_records() -> Iterator[Record]:
        yield first
        yield from records

    return all_records()
