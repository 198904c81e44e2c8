"""XMP packets: ours are read by others, and those of others do no harm."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from animator.provenance.mark import (
    COMPOSITE,
    TRAINED,
    Mark,
    from_sentence,
    sentence,
    source_type,
    without_paths,
)
from animator.provenance.xmp import (
    MAX_PACKET,
    BadPacket,
    digital_source_type,
    mark_of,
    read_properties,
    write_packet,
)
from tests.animator.provenance.marked_files import MARK

IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def test_a_packet_is_what_other_programs_read():
    packet = write_packet(MARK)
    assert packet.startswith('<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode())
    assert packet.endswith(b'<?xpacket end="r"?>')
    found = ElementTree.fromstring(packet.decode()).find(f".//{{{RDF}}}Description")
    assert found.findtext(f"{{{IPTC}}}DigitalSourceType") == TRAINED
    assert b"\0" not in packet


def test_equal_marks_have_equal_packets():
    other = Mark(**{**vars(MARK), "settings": dict(reversed(MARK.settings.items()))})
    assert write_packet(MARK) == write_packet(other)


def test_properties_may_be_attributes_and_lists():
    packet = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">
    <rdf:Description rdf:about="" xmlns:e="{IPTC}" e:DigitalSourceType=" {COMPOSITE} "/>
    <rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:creator><rdf:Seq>
    <rdf:li>One</rdf:li><rdf:li>Two</rdf:li></rdf:Seq></dc:creator></rdf:Description>
    </rdf:RDF></x:xmpmeta>""".encode()
    found = read_properties(packet)
    assert digital_source_type(found) == COMPOSITE
    assert found["http://purl.org/dc/elements/1.1/", "creator"] == "One"
    assert mark_of(found) is None


HOSTILE = {
    "external entity": '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "billion laughs": '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>',
    "external subset": '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>',
    "undeclared entity": "<x>&e;</x>",
    "no XML": "hello",
    "empty": "",
    "unclosed": "<x><y></x>",
    "deep": "<x>" * 100 + "</x>" * 100,
    "bad bytes": "<x>\x00</x>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_packet_needs_is_refused(name):
    with pytest.raises(BadPacket):
        read_properties(HOSTILE[name].encode())


def test_other_encodings_of_the_same_trick_are_refused_too():
    for encoding in ("utf-16", "utf-16-be"):
        with pytest.raises(BadPacket):
            read_properties(HOSTILE["billion laughs"].encode(encoding))


def test_a_packet_that_is_too_large_is_refused():
    with pytest.raises(BadPacket, match="at most"):
        read_properties(b"<x>" + b" " * MAX_PACKET + b"</x>")


@pytest.mark.parametrize("settings", ["[" * 100_000, "nonsense", "[1]", '"x"', "1e999"])
def test_settings_that_make_no_sense_are_left_out(settings):
    packet = re.sub(
        rb"<animator:Settings>.*?</animator:Settings>",
        f"<animator:Settings>{settings}</animator:Settings>".encode(),
        write_packet(MARK),
    )
    assert mark_of(read_properties(packet)).settings == {}


def test_settings_are_plain_values():
    settings = '{"a":1e999,"b":{"c":1},"d":[1,"x"],"e":[[1]],"f":1' + "0" * 400 + ',"g":true}'
    packet = re.sub(
        rb"<animator:Settings>.*?</animator:Settings>",
        f"<animator:Settings>{settings}</animator:Settings>".encode(),
        write_packet(MARK),
    )
    assert mark_of(read_properties(packet)).settings == {"d": [1, "x"], "g": True}


def test_hashes_that_are_none_are_left_out():
    packet = write_packet(Mark("1", "w", hashes={"source": "A" * 64, "driving": "b" * 64}))
    assert mark_of(read_properties(packet)).hashes == {"driving": "b" * 64}


def test_the_sentence_of_a_comment_is_read_back():
    assert from_sentence(f"x {sentence('0.1.0', 'a (b)@1')} y") == Mark("0.1.0", "a (b)@1", "")
    assert from_sentence("AI-generated: by hand") is None
    assert from_sentence("AI-generated: " + "(" * 100_000) is None


def test_the_digital_source_type_says_whether_all_of_the_picture_is_generated():
    assert source_type("crop") == TRAINED
    assert source_type("paste-back") == source_type("side-by-side") == COMPOSITE


def test_places_are_not_told():
    given = {"weights": "/home/anna/w.safetensors", "audio": "s3://a/b", "a": "x\\y", "start": None}
    told = {"size": 256, "motion": "relative", "end": "1001/30", "regions": ["eyes"]}
    assert without_paths({**given, **told, "regions": ("eyes",)}) == told
