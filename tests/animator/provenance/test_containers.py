"""Marks in every container: found again, and without a difference to who plays the file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import av
import pytest
from PIL import Image

from animator.errors import AnimatorError
from animator.provenance import gif, isobmff, png
from animator.provenance.containers import embed_mark, look_for_marks, media_hash
from animator.provenance.traces import Damaged
from animator.provenance.xmp import MAX_PACKET, mark_of, read_properties
from tests.animator.provenance.marked_files import (
    FRAMES,
    KINDS,
    MARK,
    VIDEOS,
    decoded,
    flip,
    make_file,
    make_marked,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_is_found_again_and_players_see_no_difference(kind, tmp_path):
    plain, marked = make_file(tmp_path / f"plain.{kind}"), tmp_path / f"marked.{kind}"
    shutil.copy(plain, marked)
    embed_mark(marked, MARK)
    before, traces = look_for_marks(plain), look_for_marks(marked)
    assert (before.packet, before.comment, before.signed, before.faults) == (None, "", False, [])
    assert (traces.kind, traces.signed, traces.faults) == (kind, False, [])
    found = mark_of(read_properties(traces.packet))
    assert found.media == media_hash(marked, traces) == media_hash(plain, before) != ""
    assert (found.version, found.weights, found.source_type) == (
        MARK.version, MARK.weights, MARK.source_type,
    )  # fmt: skip
    assert dict(found.hashes) == MARK.hashes and dict(found.settings) == MARK.settings
    assert decoded(marked) == decoded(plain)
    assert len(decoded(marked)) > (1 if kind == "png" else FRAMES)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"webp", "mp4", "mov"}))
def test_the_comment_is_there_where_the_container_has_a_place(kind, tmp_path):
    traces = look_for_marks(make_marked(tmp_path / f"a.{kind}"))
    assert traces.comment == MARK.sentence


@pytest.mark.parametrize("kind", VIDEOS)
def test_a_comment_of_the_muxer_is_kept(kind, tmp_path):
    plain, path = make_file(tmp_path / f"plain.{kind}"), tmp_path / f"a.{kind}"
    with av.open(str(plain)) as read, av.open(str(path), "w") as write:
        write.metadata["comment"] = MARK.sentence
        streams = {s.index: write.add_stream_from_template(s) for s in read.streams}
        for packet in read.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                write.mux(packet)
    embed_mark(path, MARK)
    assert look_for_marks(path).comment == MARK.sentence
    with av.open(str(path)) as container:
        assert [*container.metadata.values()].count(MARK.sentence) == 1


@pytest.mark.parametrize("kind", ["gif", "png"])
def test_a_comment_that_is_there_is_not_written_twice(kind, tmp_path):
    path = make_file(tmp_path / f"a.{kind}")
    {"gif": gif, "png": png}[kind].embed(path, b"<x/>", MARK.sentence)
    embed_mark(path, MARK)
    assert path.read_bytes().count(MARK.sentence[:80].encode()) == 2  # XMP has it, too


@pytest.mark.parametrize("kind", ["mp4", "mov"])
def test_the_index_stays_at_the_front(kind, tmp_path):
    path = make_file(tmp_path / f"a.{kind}")
    plain = path.read_bytes()
    embed_mark(path, MARK)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    assert content.startswith(plain)
    assert content[len(plain) + 4 :][:20] == b"uuid" + bytes.fromhex(
        "be7acfcb97a942e89c71999491e3afac"
    )


@pytest.mark.parametrize("kind", ["mkv", "webm"])
def test_tags_are_in_the_index_of_the_file(kind, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    with av.open(str(path)) as container:  # which reads tags at the end only by the index
        tags = {name.upper(): value for name, value in container.metadata.items()}
    assert tags["DIGITAL_SOURCE_TYPE"] == MARK.source_type
    assert "DigitalSourceType" in tags["XMP"] and tags["COMMENT"] == MARK.sentence


@pytest.mark.parametrize("kind", ["apng", "png", "webp"])
def test_pillow_reads_the_packet(kind, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    with Image.open(path) as image:
        packet = image.info["xmp"]
    assert packet == look_for_marks(path).packet


def test_readers_that_know_nothing_of_xmp_walk_through_a_gif(tmp_path):
    """Whatever the bytes of a packet are taken for as lengths, its end is found."""
    plain = make_file(tmp_path / "a.gif").read_bytes()
    for size in (1, 2, 255, 256, 257, 1000):
        path = tmp_path / f"{size}.gif"
        path.write_bytes(plain)
        gif.embed(path, b"<" + bytes(range(1, 256)) * 4 + b"x" * size, "ж comment")
        assert look_for_marks(path).packet.endswith(b"x" * size)
        assert decoded(path) == decoded(tmp_path / "a.gif")


@pytest.mark.parametrize("lossless", [True, False])
def test_a_still_webp_in_the_simple_format_becomes_an_extended_one(lossless, tmp_path):
    path = tmp_path / "a.webp"
    picture = Image.new("RGB", (300, 17), (200, 10, 10))
    picture.save(path, lossless=lossless)
    assert b"VP8X" not in path.read_bytes()
    before = decoded(path)
    embed_mark(path, MARK)
    assert b"VP8X" in path.read_bytes() and decoded(path) == before
    assert mark_of(read_properties(look_for_marks(path).packet)) is not None
    with Image.open(path) as image:
        assert image.size == (300, 17)


def test_a_folder_of_pictures_is_marked_picture_by_picture(tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(3):
        make_file(folder / f"{number:05}.png")
    embed_mark(folder, MARK)
    assert all(look_for_marks(path).packet for path in folder.iterdir())
    assert len([*folder.iterdir()]) == 3


def test_the_mode_of_a_file_is_kept(tmp_path):
    path = make_file(tmp_path / "a.png")
    path.chmod(0o640)
    embed_mark(path, MARK)
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", KINDS)
def test_one_bit_of_the_media_changes_its_hash(kind, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    traces = look_for_marks(path)
    before = media_hash(path, traces)
    start, end = traces.media[-1]
    flip(path, (start + end) // 2)
    assert media_hash(path, look_for_marks(path)) != before


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_anywhere_is_damaged_and_never_a_fault(kind, tmp_path):
    content = make_marked(tmp_path / f"a.{kind}").read_bytes()
    path = tmp_path / f"cut.{kind}"
    for length in {*range(0, min(len(content), 400), 7), *range(0, len(content) - 1, 997)}:
        path.write_bytes(content[:length])
        traces = look_for_marks(path)
        assert traces.faults or not traces.kind, length


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_put_into_a_file_that_is_not_whole(kind, tmp_path):
    path = make_file(tmp_path / f"a.{kind}")
    content = path.read_bytes()[:-7]
    path.write_bytes(content)
    with pytest.raises(AnimatorError) as raised:
        embed_mark(path, MARK)
    assert raised.value.code == "encoding_failed"
    assert path.read_bytes() == content


def test_a_file_of_another_kind_is_refused_for_marking_and_has_no_traces(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("just text")
    assert look_for_marks(path).kind == ""
    with pytest.raises(AnimatorError, match="cannot be marked"):
        embed_mark(path, MARK)


@pytest.mark.parametrize("kind", ["mp4", "gif", "png", "webp"])
def test_a_huge_packet_is_not_read(kind, tmp_path):
    path = make_file(tmp_path / f"a.{kind}")
    families = {"mp4": isobmff, "gif": gif, "png": png}
    from animator.provenance import webp

    families.get(kind, webp).embed(path, b"x" * (MAX_PACKET + 1), "")
    traces = look_for_marks(path)
    assert traces.packet is None and "was not read" in traces.faults[0]


def test_a_packet_that_inflates_to_something_huge_is_not_read(tmp_path):
    path = make_file(tmp_path / "a.png")
    body = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(b"x" * (64 * MAX_PACKET))
    content = path.read_bytes()
    chunk = png._chunk(b"iTXt", body)
    path.write_bytes(content[:33] + chunk + content[33:])
    traces = look_for_marks(path)
    assert traces.packet is None and "too large" in traces.faults[0]


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_is_never_a_fault_of_ours(kind, tmp_path):
    import random

    chance = random.Random(kind)
    content = make_marked(tmp_path / f"a.{kind}").read_bytes()
    path = tmp_path / f"b.{kind}"
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(damaged)
        traces = look_for_marks(path)
        media_hash(path, traces)


def test_boxes_without_an_end_do_not_go_on_for_ever(tmp_path):
    path = tmp_path / "a.mp4"
    # A movie in which each box has the size 0 or too small a size.
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x04mdat" * 10)
    assert "impossible size" in look_for_marks(path).faults[0]
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\0mdat")
    with open(path, "rb") as file, pytest.raises(Damaged):
        isobmff.embed(Path(file.name), b"x", "")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, code in (("none", "no_such_file"), ("pipe", "not_a_file"), (".", "not_a_file")):
        with pytest.raises(AnimatorError) as raised:
            look_for_marks(tmp_path / name)
        assert raised.value.code == code


def test_a_remux_by_ffmpeg_keeps_the_tags_of_matroska(tmp_path):
    """What another program makes of the marks, which the docs tell."""
    path = make_marked(tmp_path / "a.mkv")
    copy = tmp_path / "copy.mkv"
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-c", "copy", str(copy)], check=True)
    traces = look_for_marks(copy)
    assert traces.comment == MARK.sentence
    assert re.search(rb"DigitalSourceType", traces.packet)
