"""What names of outputs mean, what goes together, and how rates are written."""

from __future__ import annotations

from fractions import Fraction

import pytest

from animator.errors import AnimatorError
from animator.formats import FORMATS, check_coding, check_format, default_suffix, parse_rate
from animator.spec import FILE_OPTIONS, OPTIONS, JobSpec


@pytest.mark.parametrize(
    ("output", "name"),
    [
        ("/a/b.mp4", "mp4"), ("/a/b.M4V", "mp4"), ("/a/b.mov", "mov"), ("/a/b.mkv", "mkv"),
        ("/a/b.webm", "webm"), ("/a/b.gif", "gif"), ("/a/b.webp", "webp"), ("/a/b.apng", "apng"),
        ("/a/b/", "png"), ("/a/b.mp4/", "png"), ("/a/f-%05d.png", "png"), ("/a/%d.PNG", "png"),
        ("s3://a/b.webm", "webm"),
    ],
)  # fmt: skip
def test_a_name_says_what_is_written(output: str, name: str) -> None:
    assert check_format(output).name == name


@pytest.mark.parametrize(
    "output",
    ["/a/b.avi", "/a/b", "/a/b.png", "/a/%05d", "/a/%s.png", "/a/%05d-%d.png", "/a/50%-%05d.png",
     "s3://a/f-%05d.png", "/a/%d/b.png", "/a/%99999d.png", "/a/%05d.png/"],
)  # fmt: skip
def test_other_names_are_refused(output: str) -> None:
    with pytest.raises(AnimatorError) as caught:
        check_format(output)
    assert caught.value.code == "invalid_option"


def test_every_format_has_a_suffix_that_gives_it() -> None:
    for known in FORMATS.values():
        assert FORMATS[default_suffix(known.name)] is known


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)), ("29.97", Fraction(30000, 1001)), ("23.976", Fraction(24000, 1001)),
        ("30000/1001", Fraction(30000, 1001)), ("12.5", Fraction(25, 2)), ("1", Fraction(1)),
        ("240", Fraction(240)), ("keep", None),
    ],
)  # fmt: skip
def test_rates(text: str, rate: Fraction | None) -> None:
    assert parse_rate("fps", text) == rate


@pytest.mark.parametrize(
    "text", ["0", "0.5", "241", "1/0", "1e3", "-1", "", " 25", "٣", 25, None, True, "9" * 99]
)
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(AnimatorError) as caught:
        parse_rate("fps", text)
    assert caught.value.code == "invalid_option"


@pytest.mark.parametrize(
    ("output", "options"),
    [
        ("/a.mp4", {"codec": "vp9"}), ("/a.mov", {"codec": "av1"}), ("/a.webm", {"codec": "h264"}),
        ("/a.mp4", {"crf": 52}), ("/a.webm", {"crf": 64}), ("/a.mp4", {"crf": -1}),
        ("/a.mp4", {"crf": True}), ("/a.mp4", {"crf": "18"}), ("/a.webp", {"crf": 101}),
        ("/a.gif", {"codec": "h264"}), ("/a.gif", {"crf": 3}), ("/a.apng", {"preset": "fast"}),
        ("/a/", {"pixel_format": "yuv444p"}), ("/a.webp", {"pixel_format": "yuv444p"}),
        ("/a.gif", {"audio": "/b.wav"}), ("/a/", {"audio": "s3://b/c.wav"}),
        ("/a.mp4", {"audio": "b.wav"}), ("/a.mp4", {"codec": "mpeg4"}),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(output: str, options: dict[str, object]) -> None:
    with pytest.raises(AnimatorError) as caught:
        JobSpec("/s", "/d", output, **options)  # type: ignore[arg-type]
    assert caught.value.code == "invalid_option"
    assert next(iter(options)) in caught.value.message


def test_what_goes_together() -> None:
    check_coding("/a.webm", "av1", 63, "slow", "yuv420p10le")
    check_coding("/a.webp", "auto", 0, "auto", "auto")
    JobSpec("/s", "/d", "/a.gif", audio="none", fps="50")


def test_records_of_older_versions_have_the_defaults() -> None:
    """A job that was queued before there were such options is the job that it was."""
    spec = JobSpec("/s", "/d", "/a.mp4")
    old = {name: value for name, value in spec.as_dict().items() if name not in FILE_OPTIONS}
    assert JobSpec(**old) == spec
    assert len(FILE_OPTIONS) == 7
    assert [OPTIONS[name].default for name in ("fps", "audio", "driving_fps")] == [
        "keep", "driving", "auto",
    ]  # fmt: skip


def test_pictures_come_at_their_own_rate_or_the_results() -> None:
    rates = [
        JobSpec("/s", "/d", "/a.mp4", **given).driving_rate
        for given in ({}, {"fps": "30"}, {"fps": "30", "driving_fps": "12"})
    ]
    assert rates == [25, 30, 12]
