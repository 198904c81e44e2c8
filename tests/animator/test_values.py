"""What the values of a job may look like."""

from __future__ import annotations

import copy
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.spec import JobSpec
from animator.values import Location, plain_location, split_location


def test_file_urls_are_paths() -> None:
    assert plain_location("file:///a/b%20c") == "/a/b c"
    assert plain_location("file://localhost/a/../b") == "/b"
    assert plain_location("s3://bucket/a") == "s3://bucket/a"
    with pytest.raises(AnimatorError) as caught:
        plain_location("file://elsewhere/a")
    assert caught.value.code == "invalid_option"


def test_a_location_is_a_folder_and_a_name() -> None:
    assert split_location("s3://bucket/a/b.mp4") == ("s3://bucket/a", "b.mp4")
    assert split_location("/b.mp4") == ("/", "b.mp4")


def test_a_location_is_the_text_that_was_given() -> None:
    for text in ("/a/b.mp4", "/a/../b", "/a/\udcff.png", "s3://bucket/b%20c", "file:///a/b%20c"):
        location = Location(text)
        assert location == text and hash(location) == hash(text)
        assert json.dumps(location) == json.dumps(text)
        assert (os.fspath(location), repr(location)) == (text, repr(text))
        assert location.plain == plain_location(text)
        for again in (copy.deepcopy(location), pickle.loads(pickle.dumps(location))):
            assert (type(again), again, again.plain) == (Location, text, location.plain)
        assert Location(location) is location


def test_a_location_knows_where_it_is() -> None:
    here, there = Location("file:///a/b%20c.mp4"), Location("s3://bucket/a/b.mp4")
    assert not here.is_url and there.is_url
    assert here.path == Path("/a/b c.mp4")
    assert (here.folder, here.name) == ("/a", "b c.mp4")
    assert (there.folder, there.name) == ("s3://bucket/a", "b.mp4")


@pytest.mark.parametrize(
    "given",
    ["a.png", "", "/a\0", None, 3, "s3://b/", "s3://b/\n", "file://host/a", "http://[/a"],
)
def test_what_is_no_location(given: object) -> None:
    with pytest.raises(AnimatorError) as caught:
        Location(given, "source")  # type: ignore[arg-type]
    assert caught.value.code == "invalid_option"
    assert repr(given) in caught.value.message


def test_a_job_takes_texts_and_paths(tmp_path: Path) -> None:
    spec = JobSpec(tmp_path / "a.png", "s3://b/c.mp4", str(tmp_path / "d.mp4"))  # type: ignore[arg-type]
    assert spec.source == f"{tmp_path}/a.png" and spec.source.path == tmp_path / "a.png"
    assert spec.driving.is_url and not spec.output.is_url
    assert JobSpec.from_json(spec.to_json()) == spec
    assert replace(spec, source="/e.png").source.path == Path("/e.png")  # type: ignore[arg-type]
