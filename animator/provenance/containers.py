"""Marks in files of all kinds that results have: put into a finished file, and found in any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

from animator.errors import AnimatorError
from animator.files.local import open_file, quoted
from animator.files.output import coded_errors
from animator.provenance import gif, isobmff, matroska, png, webp
from animator.provenance.mark import Mark
from animator.provenance.traces import Damaged, Source, Traces, digest
from animator.provenance.xmp import write_packet
from animator.settings import MediaLimits

_FAMILIES: tuple[ModuleType, ...] = (isobmff, matroska, gif, png, webp)
_ANY = MediaLimits(max_bytes=2**62)


def embed_mark(path: Path, mark: Mark) -> None:
    """Put a mark into a finished file: its XMP, and its comment where the writer put none.

    Nothing is coded again, nothing that a player reads moves, and the mark notes the hash of the
    coded media. Of a folder, every picture in it is marked.

    Args:
        path: of a file that nobody reads yet, since it is changed in place.
        mark: its `media` is set here.

    Raises:
        AnimatorError: encoding_failed if the file is of no kind that can be marked, or not whole;
            output_not_writable, disk_full.
    """
    if path.is_dir():
        for inside in sorted(path.iterdir()):
            embed_mark(inside, mark)
        return
    family, traces = _look(path)
    if family is None or traces.faults:
        why = traces.faults[0] if traces.faults else "It is of no kind that can be marked."
        raise AnimatorError("encoding_failed", f"{quoted(path)} cannot be marked. {why}")
    mark = replace(mark, media=media_hash(path, traces))
    with coded_errors(path):
        try:
            said = "" if mark.sentence in traces.comment else mark.sentence
            family.embed(path, write_packet(mark), said)
        except Damaged as error:
            message = f"{quoted(path)} cannot be marked: {error}."
            raise AnimatorError("encoding_failed", message) from error


def look_for_marks(path: Path) -> Traces:
    """What of marks a file of any kind holds; never fails for what is in the file.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file.
    """
    return _look(path)[1]


def media_hash(path: Path, traces: Traces) -> str:
    """SHA-256 of the coded pictures and sound of a file; empty if it has none.

    It is of whole boxes, clusters, blocks or chunks as they lie in the file, whatever metadata is
    around them: any other coding changes it, and so does one bit of a picture.

    Raises:
        AnimatorError: no_such_file, not_a_file, unreadable_file.
    """
    if not traces.media:
        return ""
    with open_file(path, _ANY) as file:
        return digest(file, traces.media)


def _look(path: Path) -> tuple[ModuleType | None, Traces]:
    traces = Traces()
    with open_file(path, _ANY) as raw, open(raw.fileno(), "rb", closefd=False) as file:
        source = Source(file)
        head = source.at(0, min(16, source.size))
        family = next((one for one in _FAMILIES if one.matches(head)), None)
        if family is not None:
            try:
                family.look(source, traces)
            except Damaged as error:
                traces.faults.append(f"The file is damaged: {error}.")
    return family, traces
