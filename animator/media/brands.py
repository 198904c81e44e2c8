"""Kinds of files of ISO boxes, by which photos are told from videos."""

from __future__ import annotations

_SEQUENCES = {b"msf1", b"hevc", b"hevx", b"hevm", b"hevs", b"avis"}
_STILLS = {b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avci", b"j2ki", b"vvic", b"jpeg"}
_AVIF = {b"avif", b"avis"}


def brands(head: bytes) -> tuple[bytes, ...]:
    """The kinds that a file of ISO boxes says it is of, the main one first; () for other files."""
    if head[4:8] != b"ftyp":
        return ()
    end = min(int.from_bytes(head[:4], "big"), len(head), 256)
    return (head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4)))


def is_heif(kinds: tuple[bytes, ...]) -> bool:
    """Whether a file of these brands is a HEIF picture or sequence, other than AVIF."""
    return bool(kinds) and kinds[0] in _STILLS | _SEQUENCES and not _AVIF & set(kinds)


def is_avif(kinds: tuple[bytes, ...]) -> bool:
    """Whether a file of these brands is an AVIF picture or sequence."""
    return bool(kinds) and kinds[0] in _STILLS | _SEQUENCES | _AVIF and bool(_AVIF & set(kinds))


def is_sequence(kinds: tuple[bytes, ...]) -> bool:
    """Whether a file of these brands moves, so that it is a video as well."""
    return bool(_SEQUENCES & set(kinds))
