"""The form's fields are those of the table of options, and wrong values are named one by one."""

from __future__ import annotations

import pytest

from animator.spec import OPTIONS, JobOptions, JobSpec
from animator.web.page.forms import (
    FILES,
    MADE_HERE,
    OFFERED,
    SHOWN,
    job_options,
    option_form,
    option_names,
    read_options,
    written,
)


def all_fields(values=None, errors=None, weights=("default",)):
    form = option_form(values or {}, errors or {}, weights)
    folded = [field for group in form.folded.values() for field in group]
    return {field.name: field for field in (*form.shown.values(), *folded)}


def test_every_option_of_a_job_has_one_field() -> None:
    form = option_form({}, {}, ["default"])
    names = [*form.shown, *(field.name for group in form.folded.values() for field in group)]
    assert sorted(names) == sorted(OFFERED.keys() - {*FILES, *MADE_HERE})
    assert OFFERED.keys() == OPTIONS.keys() | {"format"}
    assert tuple(form.shown) == SHOWN
    assert not form.open


def test_a_field_knows_what_the_table_knows() -> None:
    fields = all_fields()
    size, margin, smoothing = fields["size"], fields["margin"], fields["smoothing"]
    assert (size.control, size.option.minimum, size.option.maximum) == ("text", 128, 1024)
    assert (size.step, size.value) == ("2", "auto")
    assert (margin.control, margin.option.minimum, margin.option.maximum) == ("number", 1.2, 4)
    assert (margin.step, margin.value) == ("any", "2.4")
    assert smoothing.step == "any"
    assert fields["output_mode"].control == "radio"
    assert fields["priority"].control == "select"
    assert fields["start"].control == "text"
    assert fields["detector"].choices == OPTIONS["detector"].choices


def test_fields_that_are_sent_back_as_they_are_mean_the_defaults() -> None:
    sent = {name: field.value for name, field in all_fields().items()}
    options, wrong = read_options(sent)
    assert wrong == {}
    given = {**JobSpec("/a", "/b", "/c").as_dict(), **vars(JobOptions()), "format": "mp4"}
    assert {name: given[name] for name in options} == options
    assert read_options({}) == ({}, {})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("size", "512", 512),
        ("size", "auto", "auto"),
        ("margin", "2", 2.0),
        ("smoothing", "0.25", 0.25),
        ("face", "2", 2),
        ("source_face", "largest", "largest"),
        ("start", " 1:02.5 ", "1:02.5"),
        ("weights", "mine", "mine"),
        ("device", "cuda:1", "cuda:1"),
        ("webhook", "https://example.org/x", "https://example.org/x"),
        ("missing_face", "skip", "skip"),
        ("format", "webm", "webm"),
        ("fps", "29.97", "29.97"),
        ("audio", "none", "none"),
        ("crf", "20", 20),
        ("crf", "auto", "auto"),
    ],
)
def test_texts_become_values(name: str, text: str, value: object) -> None:
    assert read_options({name: text}) == ({name: value}, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("size", "5"),
        ("size", "12.5"),
        ("size", "many"),
        ("size", "Auto"),
        ("margin", "1"),
        ("margin", "wide"),
        ("size", "9" * 5000),
        ("smoothing", "nan"),
        ("face", "0"),
        ("face", "9" * 5000),
        ("start", "javascript:alert(1)"),
        ("end", "0"),
        ("weights", "/etc/passwd"),
        ("weights", "../secret"),
        ("device", "gpu"),
        ("motion", "<script>"),
        ("priority", "highest"),
        ("key", "two words"),
        ("webhook", "javascript:alert(1)"),
        ("format", "avi"),
        ("fps", "fast"),
        ("audio", "/etc/passwd"),
        ("audio", "s3://bucket/a.wav"),
        ("crf", "52"),
        ("crf", "9" * 5000),
        ("codec", "vp9"),
        ("webhook", "https://example.org/" + "x" * 3000),
    ],
)
def test_a_wrong_value_is_named_in_a_short_sentence(name: str, text: str) -> None:
    options, wrong = read_options({name: text, "motion" if name != "motion" else "size": ""})
    assert list(wrong) == [name]
    assert name not in options
    assert 10 < len(wrong[name]) <= 300


def test_all_wrong_values_are_named_at_once() -> None:
    _, wrong = read_options({"size": "1", "start": "x", "motion": "y", "smoothing": "2"})
    assert sorted(wrong) == ["motion", "size", "smoothing", "start"]


def test_what_does_not_go_with_the_format_is_named() -> None:
    assert read_options({"format": "webm", "codec": "vp9", "crf": "60"})[1] == {}
    _, wrong = read_options({"format": "webm", "codec": "h264", "crf": "64"})
    assert sorted(wrong) == ["codec", "crf"]
    _, wrong = read_options({"format": "gif", "codec": "h264", "preset": "slow"})
    assert sorted(wrong) == ["codec", "preset"]


def test_times_the_wrong_way_round_are_said_at_the_end() -> None:
    options, wrong = read_options({"start": "5", "end": "0:03"})
    assert options == {"start": "5"}
    assert wrong.keys() == {"end"}


def test_entered_values_are_kept_and_show_where_they_are_wrong() -> None:
    fields = all_fields({"size": "5", "face": "2"}, {"size": "size is 5"})
    assert (fields["size"].value, fields["size"].error) == ("5", "size is 5")
    assert option_form({"face": "2"}, {}, []).open
    assert not option_form({"size": "512"}, {}, []).open


def test_a_choice_that_there_is_not_is_not_shown_as_chosen() -> None:
    fields = all_fields({"weights": "gone", "motion": "<b>"}, weights=("default", "mine"))
    assert (fields["weights"].value, fields["weights"].choices) == ("default", ("default", "mine"))
    assert fields["motion"].value == "relative"


def test_a_job_s_options_fill_the_form_again(tmp_path) -> None:
    from animator.record import JobRecord, JobState

    spec = JobSpec("/a", "/b", "/c", size=512, start="1:02.5", source_face=2, motion="absolute")
    record = JobRecord("x", spec, JobState.QUEUED, "", "", options=JobOptions(priority="low"))
    texts = {name: written(value) for name, value in job_options(record).items()}
    options, wrong = read_options(texts)
    assert wrong == {}
    assert (options["size"], options["start"], options["source_face"]) == (512, "1:02.5", 2)
    assert (options["motion"], options["priority"]) == ("absolute", "low")
    assert option_names() == [name for name in OFFERED if name not in FILES + MADE_HERE]
