from __future__ import annotations

import json
import traceback
from contextlib import suppress
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

import pytest

from animator.broker.connection import RedisBase, connect
from animator.cli import options
from animator.errors import AnimatorError
from animator.options import Size
from animator.record import JobError, JobState, Progress, Result
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.values import Location, parse_time

PATHS = {"source": "/a/source.png", "driving": "/a/driving.mp4", "output": "/a/out.mp4"}


def refused(**values: Any) -> str:
    with pytest.raises(AnimatorError) as caught:
        JobSpec(**{**PATHS, **values})
    assert caught.value.code == "invalid_option"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", Fraction(12)),
        ("12.5", Fraction(25, 2)),
        ("1:02.25", Fraction(249, 4)),
        ("1:02:03", Fraction(3723)),
        ("1001/30000", Fraction(1001, 30000)),
        (" 0 ", Fraction(0)),
    ],
)
def test_times(text: str, seconds: Fraction) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "-1", "1e9", "nan", "1/0", "1:75", "1:2:3:4", "٣", "9" * 40])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(AnimatorError, match="is not a time"):
        parse_time(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", "relative.png"),
        ("source", "/a\0b"),
        ("output", None),
        ("face", 0),
        ("face", True),
        ("face", "smallest"),
        ("motion", "fast"),
        ("anchor", ""),
        ("smoothing", 1.01),
        ("smoothing", float("nan")),
        ("smoothing", "much"),
        ("strength", 2.01),
        ("strength", True),
        ("head", -0.1),
        ("head", float("inf")),
        ("expression", "1"),
        ("regions", ""),
        ("regions", "head,"),
        ("regions", "nose"),
        ("regions", ["head"]),
        ("blink", "on"),
        ("missing_face", None),
        ("output_mode", "png"),
        ("size", 255),
        ("size", 64),
        ("size", 2048),
        ("size", 256.0),
        ("size", "256"),
        ("size", "large"),
        ("size", True),
        ("size", None),
        ("margin", 1.19),
        ("margin", 4.01),
        ("margin", float("nan")),
        ("margin", "2"),
        ("detector", "mediapipe"),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("precision", "float16"),
        ("weights", "mine.safetensors"),
        ("start", "soon"),
        ("start", 3),
    ],
)
def test_refused_values_are_named(name: str, value: object) -> None:
    message = refused(**{name: value})
    assert repr(value) in message


def test_regions_are_names_in_any_order() -> None:
    assert JobSpec(**PATHS).moving == {"head", "brows", "eyes", "mouth", "jaw"}
    assert JobSpec(**PATHS, regions=" Jaw, mouth").moving == {"mouth", "jaw"}


def test_options_that_came_later_count_only_where_they_are_used() -> None:
    usual, later = JobSpec(**PATHS), JobSpec(**PATHS, strength=0.5, source_face=2, blink="auto")
    added = {"strength": 0.5, "source_face": 2, "blink": "auto"}
    assert later.chosen() == usual.chosen() | added
    assert not set(usual.chosen()) & {*added, "driving_face", "head", "expression", "regions"}
    assert {"smoothing", "motion", "face", "missing_face", "output"} < set(usual.chosen())


def test_records_of_before_there_were_controls() -> None:
    old = json.dumps({**PATHS, "motion": "absolute"})
    then = JobSpec(**PATHS, motion="absolute", size=256, margin=1.75, source_motion="still")
    assert JobSpec.from_json(old) == then
    assert JobSpec.from_json(json.dumps({**PATHS, "size": 512})).margin == 1.75


def test_what_older_records_mean_counts_as_it_did() -> None:
    """Keys and plans that were made before there was a margin stay what they were."""
    old = JobSpec.from_json(json.dumps({**PATHS, "size": 300}))
    assert old.chosen()["size"] == 300 and "margin" not in old.chosen()
    then = JobSpec(**PATHS, size=300, margin=1.75, source_motion="still")
    assert then.chosen() == old.chosen() and "source_motion" not in old.chosen()
    assert JobSpec(**PATHS).chosen()["source_motion"] == "keep"
    new = JobSpec(**PATHS)
    assert (new.size, new.margin) == ("auto", 2.4)
    assert (new.chosen()["size"], new.chosen()["margin"]) == ("auto", 2.4)


@pytest.mark.parametrize("size", ["auto", 128, 300, 1024])
@pytest.mark.parametrize("margin", [1.2, 2, 4.0])
def test_sizes_and_margins(size: Size, margin: float) -> None:
    spec = JobSpec(**PATHS, size=size, margin=margin)
    assert JobSpec.from_json(spec.to_json()) == spec


def test_the_end_must_follow_the_start() -> None:
    assert "after the start (2)" in refused(start="2", end="2")
    assert "after the start (0)" in refused(end="0")
    assert JobSpec(**PATHS, start="2", end="2.1").end_seconds == Fraction(21, 10)


def test_json_round_trip_keeps_any_file_name() -> None:
    spec = JobSpec("/a/\udcff\n'\"ж.png", "/b/[red].mp4", "/c/o.mp4", face=2, smoothing=0.0)
    assert spec.to_json().isascii()
    assert JobSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        (json.dumps({**PATHS, "colour": 1}), "colour"),
        (json.dumps({"source": "/a"}), "driving, output"),
    ],
)
def test_json_is_read_strictly(text: str, message: str) -> None:
    with pytest.raises(AnimatorError, match=message):
        JobSpec.from_json(text)


def test_parts_of_a_record_survive_json() -> None:
    progress = Progress("generate", 3, None, 5.5, None)
    error = JobError("no_face", "No face.", True)
    result = Result("/o", 9, 1.5, 6.0, {"a": 0.5}, ("w",), ((1, 2),), {"source": "00"}, "default")
    assert Progress.from_json(progress.to_json()) == progress
    assert JobError.from_json(error.to_json()) == error
    assert Result.from_json(result.to_json()) == result


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"priority": "urgent"}, "priority"),
        ({"key": ""}, "key"),
        ({"key": "two words"}, "key"),
        ({"key": "k" * 201}, "key"),
        ({"webhook": "ftp://host/"}, "webhook"),
        ({"webhook": "https://user:secret@host/"}, "webhook"),
        ({"webhook": "https:///path"}, "webhook"),
        ({"webhook": "https://host/a b"}, "webhook"),
        ({"webhook": "https://host/" + "x" * 2000}, "webhook"),
        ({"webhook": 3}, "webhook"),
        ({"owner": None}, "owner"),
        ({"owner": "two words"}, "owner"),
        ({"owner": "a/b"}, "owner"),
        ({"owner": "line\n"}, "owner"),
        ({"owner": "o" * 65}, "owner"),
    ],
)
def test_options_are_checked(values: dict[str, Any], name: str) -> None:
    with pytest.raises(AnimatorError, match=name) as caught:
        JobOptions(**values)
    assert caught.value.code == "invalid_option"
    assert "secret" not in caught.value.message


def test_options_survive_json() -> None:
    options = JobOptions("high", "a-key", "https://host:8443/hook?job=1", owner="Studio_1.a-b")
    assert JobOptions.from_json(options.to_json()) == options
    assert JobOptions.from_json('{"priority": "low"}') == JobOptions("low", owner="")


@pytest.mark.parametrize(
    ("device", "kind"), [("auto", "any"), ("cpu", "cpu"), ("cuda", "cuda"), ("cuda:3", "cuda")]
)
def test_the_device_tells_who_can_run_it(device: str, kind: str) -> None:
    assert JobSpec(**PATHS, device=device).kind == kind


def test_what_a_newer_version_adds_to_a_record_is_left() -> None:
    for part in (Progress("generate"), JobError("no_face", "No face."), JobOptions("low")):
        text = json.dumps({**asdict(part), "colour": 1})
        assert type(part).from_json(text) == part


def test_the_command_offers_every_state() -> None:
    assert get_args(options.StateName) == tuple(state.value for state in JobState)


def test_command_line_spec_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "me--clip.mp4").touch()
    spec = options.make_spec("me.png", "x/clip.mov", None, face="2", weights="w.safetensors")
    assert spec.source == f"{tmp_path}/me.png"
    assert spec.weights == f"{tmp_path}/w.safetensors"
    assert spec.output == f"{tmp_path}/me--clip-1.mp4"
    assert spec.face == 2


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "ANIMATOR_STATE_DIR": str(tmp_path),
            "ANIMATOR_BROKER_URL": "",
            "ANIMATOR_DEVICE": "cpu",
            "ANIMATOR_MAX_FRAMES": "7",
        }
    )
    assert settings.broker_url is None
    assert settings.state_dir == tmp_path
    assert settings.limits().max_frames == 7
    spec = JobSpec(**PATHS)
    assert settings.apply_to(spec).device == "cpu"
    assert asdict(settings.apply_to(JobSpec(**PATHS, device="cuda"))) == {
        **asdict(spec),
        "device": "cuda",
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANIMATOR_BROKER_URL", "amqp://secret@host"),
        ("ANIMATOR_BROKER_URL", "somewhere"),
        ("ANIMATOR_MAX_SECONDS", "long"),
        ("ANIMATOR_MAX_BYTES", "-1"),
        ("ANIMATOR_CONCURRENCY", "0"),
        ("ANIMATOR_DETECTOR", "eyes"),
        ("ANIMATOR_DEVICE", "gpu"),
        ("ANIMATOR_RETENTION_DAYS", "-1"),
    ],
)
def test_wrong_settings_name_their_variable(name: str, value: str) -> None:
    with pytest.raises(AnimatorError, match=name) as caught:
        Settings.from_environment({name: value})
    assert caught.value.code == "invalid_option"
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    "letter", ["/", "#", "?", "@", "[", "%", ":", "\n", "\u2100", "/?#@", "?a=b"]
)
@pytest.mark.parametrize(
    "form", ["redis://:{}@[::1]:1/0", "rediss://me:{}@[::1]:1", "redis://{}:x@[::1]:1"]
)
def test_no_part_of_a_password_is_repeated(letter: str, form: str) -> None:
    """Whatever a parser takes for host, port, path or query may be a part of it."""
    url = form.format(f"hunter2{letter}tail9")
    try:
        settings = Settings(Path("/state"), broker_url=url)
        RedisBase(connect(url)).ping()
    except AnimatorError as error:
        said = "".join(traceback.format_exception(error)) + repr(error)
        assert "hunter2" not in error.message and "tail9" not in error.message, said
        assert error.code == ("queue_unavailable" if letter == ":" else "invalid_option"), said
        assert error.__cause__ is None or letter == ":"
    else:
        pytest.fail(f"nothing answers there, {settings}")
    with suppress(AnimatorError):
        assert "hunter2" not in repr(Settings(Path("/state"), broker_url=url))


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1", "redis://[::1]:6379/15", "rediss://host/0?ssl_cert_reqs=none",
        "redis://:a%2Fb%40c@host:6379/0", "redis://me:a:b@host:6379/",
        "redis+socket:///run/my%20redis.sock?db=2", "redis+socket://:pw@/run/redis.sock",
    ],
)  # fmt: skip
def test_addresses_of_brokers(url: str) -> None:
    assert Settings(Path("/state"), broker_url=url).broker_url == url
    connect(url).close()


@pytest.mark.parametrize(
    "url", ["s3://me:hunter2@b/x/", "https://a:hunter2[@b/c", "s3://a:b@c/d@e\n"]
)
def test_locations_do_not_repeat_who_may_read_them(url: str) -> None:
    with pytest.raises(AnimatorError) as caught:
        Location(url)
    assert "hunter2" not in caught.value.message and "a:b" not in caught.value.message


def test_driving_files_have_names_and_each_has_one() -> None:
    spec = JobSpec("/s.png", "/a.mp4", "/o.mp4", face="all;3=/b.mp4;2=file:///a.mp4;1=/c.mp4")
    assert spec.drivings == {"driving": "/a.mp4", "driving 2": "/b.mp4", "driving 3": "/c.mp4"}
    assert [spec.driven_by(number) for number in (1, 2, 3, 4)] == [
        "driving 3", "driving", "driving 2", "driving"]  # fmt: skip
    assert spec.face_by_name() == "all;3=driving 2;2=driving;1=driving 3"
    assert spec.inputs.keys() == {"source", "driving", "driving 2", "driving 3"}
    assert JobSpec.from_json(spec.to_json()) == spec
    alone = spec.of_driving("driving 3")
    assert (alone.driving, alone.face, alone.drivings) == ("/c.mp4", "largest",
                                                          {"driving": "/c.mp4"})  # fmt: skip
    assert spec.shows == "paste-back" and JobSpec(**PATHS).shows == "crop"


def test_one_face_is_what_it_was() -> None:
    for given, face in (("2", 2), (2, 2), ("largest", "largest")):
        spec = JobSpec(**PATHS, face=given)
        assert spec.face == face and spec.drivings == {"driving": PATHS["driving"]}
        assert spec.face_of("source") == spec.face_of("driving") == face
        assert spec.of_driving("driving") is spec
    assert "ending" not in JobSpec(**PATHS).chosen()
    several = JobSpec(**PATHS, face="all;2=/b.mp4", driving_face=3)
    assert (several.face_of("source"), several.face_of("driving")) == (2, 3)


def test_faces_that_make_no_sense_are_refused() -> None:
    assert "would move no face" in refused(face="1=/b.mp4")
    assert "secret" not in refused(face="1=/b.mp4", driving="s3://me:secret@host/a.mp4")
    assert "source_face" in refused(face="all", source_face=1)
    assert "output_mode" in refused(face="all", output_mode="side-by-side")
    assert "absolute path" in refused(face="all;1=b.mp4")
    assert "ending" in refused(ending="end")
