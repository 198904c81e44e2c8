from __future__ import annotations

import json
from dataclasses import replace

import pytest

from gfla.errors import GflaError
from gfla.evaluation.protocol import (
    ClipOptions,
    PictureOptions,
    Protocol,
    SetOptions,
    changed,
    load_protocol,
    package_versions,
    parse_protocol,
    shipped_protocols,
)

pytest.importorskip("yaml")
BASE = Protocol("mine", "faces", ("l1", "vgg16-features", "landmarks", "drift"))


@pytest.mark.parametrize("name", shipped_protocols())
def test_shipped_protocols_load_and_come_back(name, tmp_path):
    protocol = load_protocol(name)
    assert protocol.name == name and protocol.description
    assert parse_protocol(protocol.to_dict()) == protocol
    path = tmp_path / "copy.json"
    path.write_text(json.dumps(protocol.to_dict()))
    assert load_protocol(path).sha256 == protocol.sha256


def test_the_paper_protocol_is_what_is_known_of_the_paper():
    paper = load_protocol("paper")
    assert paper.expected_samples == 8570
    # Both networks of FID, the released script's first.
    assert paper.metrics == ("fid-torchvision", "fid", "lpips-alex-0.1")
    assert paper.sets.reference == "training-set"
    assert paper.mask == "released"
    wanted = PictureOptions(256, 256, "bilinear", "jpeg", 75, "4:2:0", "truncated")
    assert paper.pictures == wanted
    assert len(paper.left_open) >= 4


@pytest.mark.parametrize(
    ("name", "digest"), [("faces", "8d163448"), ("folders", "acfa0e74"), ("small", "57a9f30c")]
)
def test_protocols_that_did_not_change_keep_their_hash(name, digest):
    assert load_protocol(name).sha256.startswith(digest)


@pytest.mark.parametrize(
    "changed",
    [
        replace(BASE, metrics=("vgg16-features", "l1", "landmarks", "drift")),
        replace(BASE, seed=1),
        replace(BASE, samples=3),
        replace(BASE, pictures=PictureOptions(resize="lanczos")),
        replace(BASE, pictures=PictureOptions(file_format="jpeg")),
        replace(BASE, pictures=PictureOptions(jpeg_chroma="4:2:0")),
        replace(BASE, pictures=PictureOptions(levels="truncated")),
        replace(BASE, mask="released"),
        replace(BASE, sets=SetOptions(kid_subsets=99)),
        replace(BASE, clips=ClipOptions(every=5)),
        replace(BASE, left_open=("nothing",)),
    ],
)
def test_every_change_changes_the_hash(changed):
    assert changed.sha256 != BASE.sha256


def test_the_hash_is_of_values_not_of_how_they_are_written(tmp_path):
    one, other = tmp_path / "a.yaml", tmp_path / "b.yml"
    one.write_text("name: x\ntask: pairs\nmetrics: [l1, ssim]\n")
    other.write_text("metrics:\n  - l1\n  - ssim\n# a comment\ntask: pairs\nname: x\n")
    assert load_protocol(one).sha256 == load_protocol(other).sha256
    # Fixed for good: a table that carries this hash can be compared with those to come.
    assert len(load_protocol(one).sha256) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "needs fields"),
        ("name: x\ntask: pairs", "metrics"),
        ("name: x\ntask: dogs\nmetrics: [l1]", "allowed: faces, pairs, folders"),
        ("name: x\ntask: pairs\nmetrics: [l1]\ncolour: red", "has colour; known are"),
        ("name: x\ntask: pairs\nmetrics: [l1]\nsamples: many", "samples is 'many'"),
        ("name: x\ntask: pairs\nmetrics: [l1]\nseed: true", "seed is True"),
        ("name: x\ntask: pairs\nmetrics: [landmarks]", "for pairs also fid, kid"),
        ("name: x\ntask: pairs\nmetrics: [lpips]", "known are"),
        ("name: x\ntask: pairs\nmetrics: []", "at least one"),
        ("name: x\ntask: faces\nmetrics: [l1, drift]", "drift needs a perceptual"),
        (
            "name: x\ntask: faces\nmetrics: [mouth_perceptual]",
            "mouth_perceptual needs a perceptual",
        ),
        ("name: x\ntask: pairs\nmetrics: [lips_l1]", "for pairs also fid, kid"),
        ("name: x\ntask: faces\nmetrics: [l1]\nclips: {every: 0}", "every is 0"),
        ("name: x\ntask: faces\nmetrics: [l1]\nclips: {settings: [me]}", "settings"),
        ("name: x\ntask: pairs\nmetrics: [l1]\npictures: {resize: magic}", "resize is 'magic'"),
        ("name: x\ntask: pairs\nmetrics: [l1]\npictures: {jpeg_chroma: half}", "is 'half'"),
        ("name: x\ntask: pairs\nmetrics: [l1]\nmask: mine", "mask is 'mine'"),
        ("name: [unclosed", "no YAML"),
    ],
)
def test_what_is_wrong_is_said(text, said, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(GflaError, match=said) as raised:
        load_protocol(path)
    assert raised.value.code == "invalid_protocol"


def test_an_unknown_name_lists_those_that_are_shipped():
    with pytest.raises(GflaError, match="shipped are faces, folders, paper, small"):
        load_protocol("nonsense")


def test_the_feature_distance_takes_the_place_of_lpips():
    faces = load_protocol("faces")
    changed = faces.with_features()
    assert "lpips-alex-0.1" in faces.metrics and "lpips-alex-0.1" not in changed.metrics
    assert changed.metrics.index("vgg16-features") == faces.metrics.index("lpips-alex-0.1")
    assert changed.perceptual == "vgg16-features"
    assert changed.sha256 != faces.sha256
    assert changed.with_features() == changed
    assert load_protocol("small").with_features().metrics[-1] == "vgg16-features"


def test_a_part_of_the_data_is_another_protocol():
    part = load_protocol("paper").with_samples(10)
    assert (part.samples, part.expected_samples) == (10, None)


def test_fields_can_be_set_from_the_command_line():
    small = load_protocol("small")
    settings = ["pictures.height=64", "split=train", "metrics=[l1, fid]", "samples=null"]
    found = changed(small, settings)
    assert found.pictures == replace(small.pictures, height=64)
    assert (found.split, found.metrics, found.samples) == ("train", ("l1", "fid"), None)
    assert found.sha256 != small.sha256 == changed(small, []).sha256
    # YAML would take it for 14,520 seconds.
    assert changed(small, ["pictures.jpeg_chroma=4:2:0"]).pictures.jpeg_chroma == "4:2:0"
    for wrong in ("pictures.depth=3", "height", "name.x=1", "pictures=3", "split=test", "seed=x"):
        with pytest.raises(GflaError) as raised:
            changed(small, [wrong])
        assert raised.value.code == "invalid_protocol"


def test_versions_name_what_numbers_depend_on():
    assert {"torch", "numpy", "pillow"} <= set(package_versions())
