"""XMP packets of marks: written, and read from files that anybody may have made.

The packet is plain RDF/XML after XMP part 1. Of the IPTC's properties it has DigitalSourceType, by
which other programs know generated media; what only this one reads is in a namespace of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any, NoReturn
from xml.parsers import expat

from animator.provenance.mark import GENERATOR, Mark, checked_hashes, checked_settings, checked_text

MAX_PACKET = 1 << 20
"""Bytes of the largest packet that is read; a packet of ours has some two thousand."""

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMESPACES = {
    "rdf": _RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    GENERATOR: "urn:animator:provenance:1.0/",
}
_OWN = _NAMESPACES[GENERATOR]
_DESCRIPTION = f"{_RDF} Description"
_MAX_DEPTH = 64
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="r"?>'

Properties = Mapping[tuple[str, str], str]


class BadPacket(Exception):
    """A packet that is too large, is no XML, or asks for what no packet needs."""


def write_packet(mark: Mark) -> bytes:
    """The packet of a mark; equal marks have equal packets."""
    own = {
        "Version": mark.version,
        "Weights": mark.weights,
        "Hashes": _json(mark.hashes),
        "Settings": _json(mark.settings),
        "Media": mark.media,
    }
    lines = [
        f"<Iptc4xmpExt:DigitalSourceType>{_text(mark.source_type)}</Iptc4xmpExt:DigitalSourceType>",
        f"<xmp:CreatorTool>{_text(f'{GENERATOR} {mark.version}')}</xmp:CreatorTool>",
        '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">'
        f"{_text(mark.sentence)}</rdf:li></rdf:Alt></dc:description>",
        *(
            f"<{GENERATOR}:{name}>{_text(value)}</{GENERATOR}:{name}>"
            for name, value in own.items()
            if value
        ),
    ]
    spaces = " ".join(f'xmlns:{short}="{uri}"' for short, uri in _NAMESPACES.items())
    body = "\n".join(lines)
    return (
        f'{_BEGIN}\n<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {spaces}>\n'
        f'<rdf:Description rdf:about="">\n{body}\n</rdf:Description>\n'
        f"</rdf:RDF></x:xmpmeta>\n{_END}"
    ).encode()


def read_properties(packet: bytes) -> Properties:
    """The simple properties of a packet by namespace and name; of a list, its first item.

    Entities are never expanded, and nothing outside the packet is ever opened.

    Raises:
        BadPacket: for what is too large, is not well-formed, or declares entities.
    """
    if len(packet) > MAX_PACKET:
        raise BadPacket(f"the XMP packet has {len(packet)} bytes; {MAX_PACKET} are read at most")
    reader = _Reader()
    try:
        reader.parser.Parse(packet, True)
    except expat.ExpatError as error:
        raise BadPacket(f"the XMP packet is no XML: {expat.ErrorString(error.code)}") from error
    return {name: text.strip() for name, text in reader.found.items()}


def digital_source_type(properties: Properties) -> str:
    """The digital source type that a packet of any program names; empty if it names none."""
    return properties.get((_NAMESPACES["Iptc4xmpExt"], "DigitalSourceType"), "")[:300]


def mark_of(properties: Properties) -> Mark | None:
    """The mark of this program in a packet; None if there is none."""
    own = {name: text for (space, name), text in properties.items() if space == _OWN}
    if not own.get("Version"):
        return None
    return Mark(
        checked_text(own["Version"]),
        checked_text(own.get("Weights")),
        digital_source_type(properties),
        checked_hashes(_parsed(own.get("Hashes", "{}"))),
        checked_settings(_parsed(own.get("Settings", "{}"))),
        checked_text(own.get("Media")),
    )


class _Reader:
    """Collects what stands in the descriptions of a packet."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], str] = {}
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._add
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self._path: list[str] = []
        self._property: tuple[str, str] | None = None
        self._property_depth = 0
        self._items = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        inside = bool(self._path) and self._path[-1] == _DESCRIPTION
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise BadPacket("the XMP packet is nested too deeply")
        if name == _DESCRIPTION:
            for attribute, value in attributes.items():
                self.found.setdefault(_split(attribute), value)
        elif inside and self._property is None:
            key = _split(name)
            # The first one counts; a second of the same name is not read.
            if key not in self.found:
                self.found[key], self._property = "", key
                self._property_depth, self._items = len(self._path), 0
        elif name == f"{_RDF} li":
            self._items += 1

    def _end(self, name: str) -> None:
        if self._property is not None and len(self._path) == self._property_depth:
            self._property = None
        self._path.pop()

    def _add(self, text: str) -> None:
        if self._property is not None and self._items <= 1:
            self.found[self._property] += text

    def _refuse(self, *declared: object) -> NoReturn:
        raise BadPacket("the XMP packet declares a document type, which none may")


def _split(name: str) -> tuple[str, str]:
    space, _, local = name.rpartition(" ")
    return space, local


def _text(text: str) -> str:
    # XML has no place for most control characters, not even as references.
    plain = "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in text
    )
    return escape(plain, quote=False)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), sort_keys=True, separators=(",", ":")) if values else ""


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
