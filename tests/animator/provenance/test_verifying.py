"""What is known of files: signed and not, coded again, tampered with, of others, and of nobody."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import c2pa
import pytest
from PIL import Image

from animator.provenance import png
from animator.provenance.containers import look_for_marks
from animator.provenance.mark import TRAINED
from animator.provenance.signing import OFFLINE, ResultSigner
from animator.provenance.verifying import STATUS, Report, verify_file, with_inputs
from tests.animator.provenance.certificates import Signer, make_signer
from tests.animator.provenance.marked_files import (
    KINDS,
    MARK,
    PICTURES,
    SIGNABLE,
    VIDEOS,
    flip,
    make_file,
    make_marked,
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return make_signer(tmp_path_factory.mktemp("signer") / "own")


@pytest.fixture(scope="module")
def signed(signer: Signer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An MP4 that is marked and signed, with the comment that its muxer writes."""
    path = tmp_path_factory.mktemp("signed") / "a.mp4"
    plain = make_file(path.with_name("plain.mp4"))
    command = ["ffmpeg", "-v", "error", "-i", str(plain), "-c", "copy", "-movflags", "+faststart"]
    subprocess.run([*command, "-metadata", f"comment={MARK.sentence}", str(path)], check=True)
    from animator.provenance.containers import embed_mark

    embed_mark(path, MARK)
    ResultSigner(signer.credentials).sign(path, MARK)
    return path.read_bytes()


def ffmpeg(path: Path, name: str, *options: str) -> Path:
    made = path.with_name(name)
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), *options, str(made)], check=True)
    return made


def said(report: Report) -> str:
    return " ".join(report.findings)


# Signed


def test_a_signed_result_is_intact_and_says_all(signed, signer, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    report = verify_file(path)
    assert (report.verdict, report.told_by, report.media) == ("intact", "signature", "unchanged")
    assert report.marks == {"signature": "present", "xmp": "present", "comment": "present"}
    assert (report.mark.version, report.mark.weights) == (MARK.version, MARK.weights)
    assert report.mark.hashes == MARK.hashes and report.mark.settings == MARK.settings
    assert report.source_type == TRAINED
    assert (report.signature.state, report.signature.signer) == ("valid", "Test Signer")
    assert [one.sha256 for one in report.signature.ingredients] == ["a" * 64, "b" * 64]
    assert "--trust" in said(report)
    json.dumps(report.as_dict(), allow_nan=False)


@pytest.mark.parametrize("kind", SIGNABLE)
def test_every_kind_that_can_be_signed_is_verified(kind, signer, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    ResultSigner(signer.credentials).sign(path, MARK)
    report = verify_file(path, roots=signer.root)
    assert (report.verdict, report.signature.state) == ("intact", "trusted")
    start, end = look_for_marks(path).media[-1]
    report = verify_file(flip(path, (start + end) // 2), roots=signer.root)
    assert (report.verdict, report.media) == ("altered", "changed")
    assert report.signature.state == "invalid" and report.signature.failures


def test_who_vouches_makes_the_difference(signed, signer, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    assert verify_file(path, roots=signer.root).signature.state == "trusted"
    other = make_signer(tmp_path / "other")
    report = verify_file(path, roots=other.root)
    assert (report.verdict, report.signature.state) == ("untrusted", "valid")
    assert STATUS[report.verdict] != 0


def test_a_certificate_that_has_run_out_vouches_for_nobody_but_still_shows_changes(tmp_path):
    short = make_signer(tmp_path / "short", days=(-1, 2 / 86400))
    path = make_marked(tmp_path / "a.mp4")
    ResultSigner(short.credentials).sign(path, MARK)
    time.sleep(3.2)  # certificates and clocks are compared by whole seconds
    report = verify_file(path)
    assert (report.verdict, report.signature.state) == ("intact", "expired")
    assert report.told_by == "signature" and "has run out" in said(report)
    assert verify_file(path, roots=short.root).verdict == "untrusted"
    for part in ("picture", "xmp"):
        place = places(path.read_bytes())[part]
        report = verify_file(flip(path, place), roots=short.root)
        assert (report.verdict, report.signature.state) == ("altered", "invalid")
        flip(path, place)


def places(content: bytes) -> dict[str, int]:
    """Where a byte of each part of the signed file is."""
    manifest = content.index(bytes.fromhex("d8fec3d61b0e483c92975828877ec481"))
    return {
        "picture": content.index(b"mdat") + 400,
        "index": content.index(b"stts") + 12,
        "xmp": content.index(b"trainedAlgorithmicMedia", content.index(b"mdat")),
        "comment": content.index(b"AI-generated"),  # of the muxer, or of the XMP behind it
        "signature": content.index(b"c2pa.signature", content.index(b"c2cs")) + 200,
        "assertion": content.index(b"relative", manifest),
        "store": content.index(b"jumd", manifest),
    }


@pytest.mark.parametrize(
    "part", ["picture", "index", "xmp", "comment", "signature", "assertion", "store"]
)
def test_one_bit_of_a_signed_file_is_noticed(part, signed, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    report = verify_file(flip(path, places(signed)[part]))
    assert report.verdict == "altered", said(report)
    assert report.signature.state in ("invalid", "unreadable")
    assert (report.media == "changed") == (part == "picture")


def test_a_signed_file_that_was_cut_is_altered(signed, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed[:-2000])
    report = verify_file(path)
    assert report.verdict == "altered" and "ends too early" in said(report)
    assert report.mark.version == MARK.version  # told by what is left
    # Without its index, no manifest fits it, and there is no comment.
    path.write_bytes(signed[: signed.index(b"moov") + 100])
    report = verify_file(path)
    assert report.verdict in ("altered", "unmarked") and "ends too early" in said(report)
    assert report.signature.state in ("invalid", "unreadable")


def test_a_signature_that_was_cut_out_is_missed_by_nobody_but_the_rest_stays(signed, tmp_path):
    """A mark that is simply removed cannot be known of; what is left is said to be a claim."""
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    plain = ffmpeg(path, "b.mp4", "-c", "copy", "-movflags", "+faststart")
    report = verify_file(plain)
    assert (report.verdict, report.told_by) == ("partial", "comment")
    assert report.signature is None and "not signed" in said(report)


def test_without_the_library_a_signature_is_said_to_be_unchecked(signed, tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    # A module of this name that cannot be imported, for the child.
    (tmp_path / "c2pa.py").write_text("raise ImportError('not here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = verify_file(path)
    assert report.signature.state == "unchecked" and "animator[provenance]" in said(report)
    assert (report.verdict, report.told_by, report.media) == ("intact", "xmp", "unchanged")


def test_a_child_that_crashes_on_a_manifest_is_told(signed, tmp_path, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    (tmp_path / "c2pa.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = verify_file(path)
    assert (report.verdict, report.signature.state) == ("altered", "unreadable")
    assert "SIGABRT" in said(report)


# Not signed


@pytest.mark.parametrize("kind", KINDS)
def test_an_unsigned_result_is_intact_until_it_is_changed(kind, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    report = verify_file(path)
    assert (report.verdict, report.told_by, report.media) == ("intact", "xmp", "unchanged")
    assert report.signature is None and "anybody could have made" in said(report)
    start, end = look_for_marks(path).media[-1]
    report = verify_file(flip(path, (start + end) // 2))
    assert (report.verdict, report.media) == ("altered", "changed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_without_marks_is_unmarked(kind, tmp_path):
    report = verify_file(make_file(tmp_path / f"a.{kind}"))
    assert (report.verdict, report.mark, report.told_by) == ("unmarked", None, "")
    assert STATUS[report.verdict] == 4


@pytest.mark.parametrize("kind", ["mkv", "webm"])
def test_a_result_coded_again_with_its_tags_is_altered(kind, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    codec = ("-c:v", "libvpx-vp9", "-deadline", "realtime") if kind == "webm" else ("-crf", "35")
    report = verify_file(ffmpeg(path, f"b.{kind}", *codec))
    assert (report.verdict, report.told_by, report.media) == ("altered", "xmp", "changed")
    assert "coded again" in said(report)


def test_a_result_coded_again_keeps_its_comment_alone(signed, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(signed)
    for name in ("b.mp4", "b.mkv", "b.mov"):
        report = verify_file(ffmpeg(path, name, "-crf", "30"))
        assert (report.verdict, report.told_by) == ("partial", "comment"), name
        assert (report.mark.version, report.mark.weights) == (MARK.version, MARK.weights)
        assert STATUS[report.verdict] == 3


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"png"}))
def test_a_result_that_was_cut_is_altered(kind, tmp_path):
    path = make_marked(tmp_path / f"a.{kind}")
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    report = verify_file(path)
    expected = {"altered", "partial"} if kind in PICTURES + VIDEOS else set()
    # Where the mark was at the end it is gone with it; what is left never counts as intact.
    assert report.verdict in expected | {"unmarked"} and report.findings
    if report.mark is not None:
        assert report.verdict == "altered"


# Of others


def test_a_foreign_manifest_is_foreign(signer, tmp_path):
    path = make_file(tmp_path / "a.mp4")
    resign(path, signer, {"claim_generator_info": [{"name": "Other", "version": "1"}]})
    report = verify_file(path, roots=signer.root)
    assert (report.verdict, report.mark) == ("foreign", None)
    assert report.signature.generator == "Other 1" and "Other 1" in said(report)
    assert report.marks["signature"] == "foreign" and STATUS["foreign"] == 4
    assert report.source_type.endswith("/digitalCapture") and "digitalCapture" in said(report)


def test_a_result_that_another_program_built_on_is_altered_and_still_known(
    signed, signer, tmp_path
):
    path, original = tmp_path / "a.mp4", tmp_path / "original.mp4"
    for one in (path, original):
        one.write_bytes(signed)
    manifest = {
        "claim_generator_info": [{"name": "Editor", "version": "2"}],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.opened",
             "parameters": {"ingredientIds": ["parent"]}}]}}
        ],
    }  # fmt: skip
    resign(path, signer, manifest, parent=original)
    report = verify_file(path)
    assert report.signature.state == "valid" and not report.signature.own
    assert (report.verdict, report.mark.weights) == ("altered", MARK.weights)
    assert "Editor 2" in said(report)


def test_the_xmp_of_another_program_is_foreign(tmp_path):
    path = make_file(tmp_path / "a.png")
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'e:DigitalSourceType="{TRAINED}"/></rdf:RDF></x:xmpmeta>'
    )
    png.embed(path, packet.encode(), "by hand")
    report = verify_file(path)
    assert (report.verdict, report.source_type) == ("foreign", TRAINED)
    assert "trainedAlgorithmicMedia" in said(report)


HOSTILE = {
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>',
    "billion laughs": b"<!DOCTYPE x ["
    + b"".join(b'<!ENTITY e%d "%s">' % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))
    + b"]><x>&e9;</x>",
    "huge": b"<x>" + b"a" * (2 << 20) + b"</x>",
    "nonsense": b"\xff\xfe\0<",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "gif", "png", "webp"])
def test_hostile_xmp_is_never_expanded(name, kind, tmp_path):
    from animator.provenance.containers import _FAMILIES

    path = make_file(tmp_path / f"a.{kind}")
    head = path.read_bytes()[:16]
    family = next(one for one in _FAMILIES if one.matches(head))
    family.embed(path, HOSTILE[name], MARK.sentence)
    report = verify_file(path)
    assert report.marks["xmp"] == "damaged"
    assert report.verdict in ("unmarked", "partial", "altered") and "read" in said(report)
    assert report.told_by in ("comment", "") and not report.source_type


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 5000, b"%PDF-1.4\n%"], ids=repr)
def test_a_file_of_no_known_kind_is_unmarked(content, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    report = verify_file(path)
    assert (report.verdict, report.kind) == ("unmarked", "")


def test_a_manifest_in_a_kind_of_file_that_is_not_known_here_is_read(signer, tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (20, 20)).save(path)
    resign(path, signer, {"claim_generator_info": [{"name": "Camera", "version": "3"}]})
    report = verify_file(path)
    assert (report.verdict, report.signature.generator) == ("foreign", "Camera 3")


# The inputs


def test_given_inputs_are_compared_by_their_hashes(tmp_path):
    import hashlib

    source = tmp_path / "me.png"
    source.write_bytes(b"a portrait")
    hashes = {"source": hashlib.sha256(b"a portrait").hexdigest(), "driving": "b" * 64}
    path = make_marked(tmp_path / "a.mp4", replace(MARK, hashes=hashes))
    same = with_inputs(verify_file(path), {"source": source})
    assert (same.verdict, same.inputs) == ("intact", {"source": True})
    other = with_inputs(verify_file(path), {"source": source, "driving": source})
    assert (other.verdict, other.inputs) == ("altered", {"source": True, "driving": False})
    assert "driving file that was given is not the one" in said(other)


def resign(path: Path, signer: Signer, manifest: dict, parent: Path | None = None) -> None:
    """Sign a file as another program would."""
    mime = look_for_marks(path).mime or "image/jpeg"
    made = path.with_name(f"signed-{path.name}")
    with (
        signer.credentials.signer() as own,
        c2pa.Context.from_dict(OFFLINE) as context,
        c2pa.Builder({"assertions": [created()], **manifest}, context) as builder,
        open(path, "rb") as read,
        open(made, "w+b") as write,
    ):
        if parent is not None:
            with open(parent, "rb") as file:
                about = {"title": "parent", "relationship": "parentOf", "label": "parent"}
                builder.add_ingredient(about, mime, file)
        builder.sign(own, mime, read, write)
    made.replace(path)


def created() -> dict:
    capture = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
    actions = [{"action": "c2pa.created", "digitalSourceType": capture}]
    return {"label": "c2pa.actions.v2", "data": {"actions": actions}}
