"""The models of requests and answers: they follow the table of options and the records."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest
from pydantic import ValidationError

from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.spec import OPTIONS, JobOptions, JobSpec
from animator.web.api.schemas import Job, NewJob, Spec, read_form

FILES = {"source": "0" * 20, "driving": "1" * 20}
LINKS = {
    **dict.fromkeys(("self", "events", "logs", "cancel", "retry", "result"), "/"),
    **{"extras": {}, "preview": "/", "poster": "/", "driving": "/"},
}


def test_every_option_is_offered_as_the_table_has_it() -> None:
    offered = NewJob.model_json_schema()["properties"]
    left_out = {"output", "source_pose"}
    assert {*offered} == ({*OPTIONS} - left_out) | {"format", "measure", "extras"}
    for name, item in OPTIONS.items():
        if name in left_out:
            continue
        about = offered[name]
        assert about["description"]
        if item.kind == "choice":
            assert about["enum"] == [*item.choices]
        if item.kind == "number":
            assert (about["minimum"], about["maximum"]) == (item.minimum, item.maximum)
        if name not in FILES:
            assert about["default"] == item.default
    word, number = offered["size"]["anyOf"]
    assert word["const"] == "auto"
    assert (number["minimum"], number["maximum"], number["multipleOf"]) == (128, 1024, 2)


def test_what_is_not_said_is_as_usual() -> None:
    values = NewJob.model_validate(FILES).model_dump()
    usual = JobSpec("/a", "/b", "/c.mp4").as_dict() | {"priority": "normal", "format": "mp4"}
    for name, value in values.items():
        if name not in FILES:
            assert value == usual.get(name) or (name == "extras" and value == []), name


@pytest.mark.parametrize(
    "values",
    [
        {"start": "12"}, {"start": "12.5"}, {"end": "1:02.5"}, {"end": "1:02:03"},
        {"end": "1001/30"}, {"face": 3}, {"source_face": "largest"}, {"device": "cuda:1"},
        {"webhook": "HTTPS://example.com/x"}, {"weights": "a.b-c_1"}, {"smoothing": 1},
        {"source": "s3://bucket/a b".replace(" ", "%20")}, {"extras": ["flows", "frames"]},
    ],
)  # fmt: skip
def test_what_the_specification_takes_is_taken(values: dict[str, object]) -> None:
    wanted = NewJob.model_validate(FILES | values).model_dump()
    wanted["extras"] = tuple(wanted["extras"])
    spec = {name: wanted[name] for name in wanted if name in {f.name for f in fields(JobSpec)}}
    JobSpec(**spec | {"source": "/a", "driving": "/b", "output": "/c.mp4"})
    options = {name: wanted[name] for name in ("priority", "key", "webhook")}
    JobOptions(**options)


@pytest.mark.parametrize("name", ["start", "end"])
@pytest.mark.parametrize("text", ["", "1:", "1:60", "-1", "1e3", "1/0", "٣", "1" * 9, " 1"])
def test_what_is_no_time_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError):
        NewJob.model_validate(FILES | {name: text})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.37882606709237476", 0.37882606709237476), ("5e-05", 5e-05), ("1", 1), ("-1", -1),
        ("1e999", float("inf")), ("nan", "nan"), ("٣", "٣"), ("0x1", "0x1"), ("1_0", "1_0"),
    ],
)  # fmt: skip
def test_numbers_of_a_form(text: str, value: object) -> None:
    assert read_form({"smoothing": [text]}) == {"smoothing": value}


def test_a_form_is_read_as_values() -> None:
    texts = {
        "size": ["128"], "smoothing": ["0.5"], "face": ["2"], "source_face": ["largest"],
        "start": ["5"], "key": [""], "measure": ["on"], "extras": ["flows", "frames, landmarks"],
        "priority": ["low", "high"], "anchor": ["x"], "other": ["1"],
    }  # fmt: skip
    assert read_form(texts) == {
        "size": 128, "smoothing": 0.5, "face": 2, "source_face": "largest", "start": "5",
        "measure": True, "extras": ["flows", "frames", "landmarks"], "priority": "high",
        "anchor": "x", "other": "1",
    }  # fmt: skip


@pytest.mark.parametrize("whole", [False, True])
def test_the_document_describes_all_of_a_record(whole: bool) -> None:
    record = JobRecord("0" * 12, JobSpec("/a", "/b", "/c.mp4"), JobState.QUEUED, "2026", "1")
    if whole:
        record = replace(
            record,
            spec=replace(record.spec, extras=("flows",), face=2, start="1", device="cuda"),
            progress=Progress("generate", 1, None, 2, None),
            error=JobError("no_face", "None."),
            result=Result(
                "/c.mp4", 1, 1, 1, {"a": 1}, ("w",), ((1, 2),), {"source": "0"}, "default", 3,
                ("source",), {"psnr": 1.0},
            ),
            started="2026", finished="2026", worker="w", lease=1.5,
            options=JobOptions("high", "k", "https://a.example/", owner="ann"),
        )  # fmt: skip
    values = json.loads(json.dumps(record.as_dict()))
    Job.model_validate(values | {"files": dict.fromkeys(FILES), "links": LINKS})
    assert {*Job.model_fields} == {*values, "files", "links"}
    assert {*Spec.model_fields} == {*values["spec"]}
