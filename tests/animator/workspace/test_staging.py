"""Jobs with files elsewhere: what they find here, what they leave there, and in which order."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError, JobCancelled
from animator.files import remote
from animator.jobs.content_key import content_key
from animator.jobs.preflight import check_files
from animator.record import Result
from animator.settings import Settings
from animator.spec import JobSpec
from animator.values import Location
from animator.workspace import staging
from animator.workspace.attempt import Workspace
from animator.workspace.staging import close_output, discard, local_output, open_output, stage
from tests.faulty_proxy import FaultyProxy, Plan
from tests.object_store import Bucket, free_port

JOB = "0a1b2c3d"


@pytest.fixture
def settings(s3: Bucket) -> Settings:
    return Settings.from_environment()


@pytest.fixture
def spec(s3: Bucket) -> JobSpec:
    """A job whose files are all in a bucket."""
    s3.put("in/face.png", b"a picture")
    s3.put("in/clip.mp4", b"a video")
    return JobSpec(
        f"{s3.url}/in/face.png", f"{s3.url}/in/clip.mp4", f"{s3.url}/out/v.mp4", keep_result=True
    )


def make(spec: JobSpec) -> Result:
    """What a pipeline leaves: the video and what belongs to it."""
    video = Path(spec.output)
    assert video.is_absolute()
    video.write_bytes(Path(spec.source).read_bytes() + b" " + Path(spec.driving).read_bytes())
    video.with_suffix(".landmarks.npz").write_bytes(b"points")
    (video.parent / "v.frames").mkdir(exist_ok=True)
    (video.parent / "v.frames" / "0.png").write_bytes(b"frame")
    (video.parent / ".v.mp4.part").write_bytes(b"not finished")
    return Result(spec.output, 3, 1.0, 3.0, warnings=(f"{spec.source!r} is dark.",))


def outbox(settings: Settings) -> list[str]:
    """What is in the outbox."""
    folder = settings.state_dir / "outbox"
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_files_by_url_are_here_meanwhile_and_there_afterwards(
    s3: Bucket, settings: Settings, spec: JobSpec
) -> None:
    with stage(spec, settings, job_id=JOB) as staged:
        assert (
            replace(staged.spec, source=spec.source, driving=spec.driving, output=spec.output)
            == spec
        )
        assert Path(staged.spec.output) == local_output(spec.output, JOB, settings)
        result = staged.deliver(make(staged.spec))
    assert (result.output, result.warnings) == (spec.output, (f"{spec.source!r} is dark.",))
    names = ["v.frames/0.png", "v.landmarks.npz", "v.mp4", "v.result.json"]
    assert [key for key in s3.keys() if key.startswith("out")] == [f"out/{name}" for name in names]
    assert s3.get("out/v.mp4") == b"a picture a video"
    assert Result.from_json(s3.get("out/v.result.json")) == result
    assert outbox(settings) == []


def test_the_result_comes_last(
    s3: Bucket, settings: Settings, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultyProxy(s3.endpoint, Plan()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with stage(spec, settings) as staged:
            staged.deliver(make(staged.spec))
        puts = [path.rpartition("/")[2] for method, path in proxy.requests if method == "PUT"]
    assert puts == ["0.png", "v.landmarks.npz", "v.mp4", "v.result.json"]


@pytest.mark.parametrize("name", ["v.webm", "v.mkv"])
def test_sound_is_brought_and_other_formats_are_uploaded(
    name: str, s3: Bucket, settings: Settings, spec: JobSpec
) -> None:
    s3.put("in/song.flac", b"a song")
    job = replace(spec, audio=f"{s3.url}/in/song.flac", output=f"{s3.url}/out/{name}")
    with stage(job, settings, job_id=JOB) as staged:
        assert staged.spec.audio_file is not None
        assert staged.spec.audio_file.path.read_bytes() == b"a song"
        assert staged.spec.output.name == name
        Path(staged.spec.output).write_bytes(b"content")
        assert staged.said(f"{str(staged.spec.audio)!r} is silent.") == f"{job.audio!r} is silent."
        staged.deliver(Result(staged.spec.output, 3, 1.0, 3.0))
    assert s3.get(f"out/{name}") == b"content"
    with pytest.raises(AnimatorError) as caught:
        with stage(replace(job, audio="s3://another/song.flac"), settings):
            pass
    assert caught.value.code == "url_refused"


def test_all_driving_files_are_brought(
    s3: Bucket, settings: Settings, spec: JobSpec, tmp_path: Path
) -> None:
    s3.put("in/talk.mp4", b"another video")
    talk, here = f"{s3.url}/in/talk.mp4", tmp_path / "here.mp4"
    here.write_bytes(b"a third video")
    job = replace(spec, face=f"1={talk};2={spec.driving};3={here}")
    check_files(job, settings)
    with stage(job, settings, job_id=JOB) as staged:
        first, second, third = staged.spec.faces.files
        assert [number for number, _ in (first, second, third)] == [1, 2, 3]
        assert Path(first[1]).read_bytes() == b"another video"
        assert second[1] == staged.spec.driving and Path(second[1]).read_bytes() == b"a video"
        assert third[1] == str(here)
        assert staged.said(f"{first[1]!r} is silent.") == f"{talk!r} is silent."
    with pytest.raises(AnimatorError) as caught:
        with stage(replace(job, face=f"all;2={talk}x"), settings):
            pass
    assert caught.value.code == "no_such_file" and f"{talk}x" in caught.value.message
    for wrong, code in (("s3://another/talk.mp4", "url_refused"), ("/nowhere", "no_such_file")):
        with pytest.raises(AnimatorError) as caught:
            check_files(replace(spec, face=f"all;2={wrong}"), settings)
        assert caught.value.code == code
    with pytest.raises(AnimatorError, match="The output is the driving 2 file itself"):
        check_files(replace(spec, face=f"all;2={here}", output=str(here)), settings)


def test_a_folder_of_pictures_stays_a_folder(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "1.png").write_bytes(b"x")
    spec = JobSpec(f"{tmp_path}/drive/", f"{tmp_path}/drive/%d.png", f"{tmp_path}/out/")
    with stage(spec, settings) as staged:
        assert staged.spec.output == spec.output
        assert staged.spec.driving == spec.driving
    # What is asked for tells what it is about, whatever its folder is called.
    assert content_key(spec, settings) == content_key(
        replace(spec, source=f"{tmp_path}/drive"), settings
    )
    key = content_key(spec, settings)
    assert key != content_key(replace(spec, output=f"{tmp_path}/out.gif"), settings)
    assert key != content_key(replace(spec, fps="30"), settings)
    (tmp_path / "drive" / "1.png").write_bytes(b"y")
    assert key != content_key(spec, settings)


def test_local_files_stay_where_they_are(tmp_path: Path, settings: Settings) -> None:
    for name in ("face.png", "clip.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    face, clip, video = (tmp_path / name for name in ("face.png", "clip.mp4", "v.mp4"))
    spec = JobSpec(str(face), str(clip), str(video))
    urls = JobSpec(f"file://{face}", f"file://{clip}", f"file://{video}", keep_result=True)
    for job in (spec, urls):
        with stage(job, settings) as staged:
            assert replace(staged.spec, keep_result=False) == spec
            assert not staged.uploads
            result = staged.deliver(Result(staged.spec.output, 3, 1.0, 3.0))
        assert result.output == job.output
        assert (tmp_path / "v.result.json").exists() == job.keep_result
    assert json.loads((tmp_path / "v.result.json").read_text())["output"] == urls.output
    assert local_output(Location(tmp_path / "v.mp4"), JOB, settings) == tmp_path / "v.mp4"
    assert outbox(settings) == []


def test_an_upload_that_fails_shows_no_video_and_can_be_tried_again(
    s3: Bucket, settings: Settings, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TRIES", 1)
    plan = Plan(share=1, faults=("cut_request",), matches=lambda method, path: "v.mp4" in path)
    with FaultyProxy(s3.endpoint, plan) as proxy:
        with pytest.raises(AnimatorError) as caught, stage(spec, settings) as staged:
            result = make(staged.spec)
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            staged.deliver(result)
    assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)
    assert spec.output in caught.value.message
    assert not {"out/v.mp4", "out/v.result.json"} & set(s3.keys())
    close_output(spec.output, JOB, settings)
    assert outbox(settings) == []


def test_an_upload_that_has_begun_is_waited_for(
    s3: Bucket, settings: Settings, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(
        share=1, faults=("delay",), delay_seconds=2, matches=lambda method, path: "v.mp4" in path
    )
    with FaultyProxy(s3.endpoint, plan) as proxy:

        def check() -> None:
            if any("v.mp4" in path for _, path in proxy.requests):
                raise JobCancelled

        with stage(spec, settings, check) as staged:
            result = make(staged.spec)
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            staged.deliver(result)
    assert "out/v.result.json" in s3.keys()

    def stop() -> None:
        raise JobCancelled

    with stage(spec, settings) as staged:
        result = make(staged.spec)
        s3.client().delete_object(Bucket=s3.name, Key="out/v.mp4")
        with pytest.raises(JobCancelled):
            replace(staged, check=stop).deliver(result)
    assert "out/v.mp4" not in s3.keys()


def test_errors_name_urls(settings: Settings, spec: JobSpec) -> None:
    with pytest.raises(AnimatorError) as caught, stage(spec, settings) as staged:
        here = staged.spec
        raise AnimatorError(
            "no_face", f"No face in {here.source!r} or {here.driving} for {here.output}."
        )
    message = f"No face in {spec.source!r} or {spec.driving} for {spec.output}."
    assert (caught.value.code, caught.value.message) == ("no_face", message)


@pytest.mark.parametrize("part", ["in/face.png", "in/clip.mp4", "out/v.mp4"])
def test_every_url_is_checked_before_anything_is_fetched(
    s3: Bucket, settings: Settings, spec: JobSpec, part: str
) -> None:
    url = f"{s3.url}/{part}"
    wrong = JobSpec.from_json(spec.to_json().replace(url, url.replace("s3://", "s3://other-")))
    for use in (lambda: check_files(wrong, settings=settings), lambda: enter(wrong, settings)):
        with pytest.raises(AnimatorError) as caught:
            use()
        assert caught.value.code == "url_refused"
    assert outbox(settings) == []


def enter(spec: JobSpec, settings: Settings) -> None:
    with stage(spec, settings):
        pass


def test_what_is_told_before_a_job_is_queued(settings: Settings, spec: JobSpec) -> None:
    check_files(spec, settings=settings)
    web = replace(settings, allowed_urls=(*settings.allowed_urls, "https://media.example"))
    for output in (spec.output.replace(".mp4", ".avi"), "https://media.example/v.mp4"):
        with pytest.raises(AnimatorError) as caught:
            check_files(replace(spec, output=output), settings=web)
        assert caught.value.code == "invalid_option"


def test_a_key_is_of_the_content_wherever_it_lies(
    s3: Bucket, settings: Settings, spec: JobSpec, tmp_path: Path
) -> None:
    (tmp_path / "face.png").write_bytes(b"a picture")
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    here = replace(
        spec, source=str(tmp_path / "face.png"), driving=f"file://{tmp_path / 'clip.mp4'}"
    )
    key = content_key(spec, settings)
    assert content_key(here, settings) == key
    s3.put("in/face.png", b"another picture")
    assert content_key(spec, settings) != key


def test_a_key_is_of_the_content_of_all_driving_files(
    s3: Bucket, settings: Settings, spec: JobSpec, tmp_path: Path
) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"a talk")
    s3.put("in/talk.mp4", b"a talk")
    key = content_key(replace(spec, face=f"all;2={tmp_path / 'talk.mp4'}"), settings)
    assert content_key(replace(spec, face=f"all;2={s3.url}/in/talk.mp4"), settings) == key
    assert content_key(replace(spec, face=f"all;3={s3.url}/in/talk.mp4"), settings) != key
    (tmp_path / "talk.mp4").write_bytes(b"another")
    assert content_key(replace(spec, face=f"all;2={tmp_path / 'talk.mp4'}"), settings) != key


# -- the outbox


def test_segments_of_a_job_stay_until_it_has_ended(settings: Settings, spec: JobSpec) -> None:
    first = Workspace.take(open_output(spec.output, JOB, settings), JOB, 1)
    first.write("00000.mp4", b"segment")
    close_output(spec.output, JOB, settings)
    again = Workspace.take(open_output(spec.output, JOB, settings), JOB, 2)
    assert (again.path / "00000.mp4").read_bytes() == b"segment"
    discard(spec.output, JOB, settings)
    assert outbox(settings) == []


def test_the_end_of_one_job_leaves_the_segments_of_another(
    settings: Settings, spec: JobSpec
) -> None:
    Workspace.take(open_output(spec.output, JOB, settings), JOB, 1)
    other = Workspace.take(open_output(spec.output, "ffffffff", settings), "ffffffff", 1)
    other.write("00000.mp4", b"segment")
    discard(spec.output, JOB, settings)
    assert (other.path / "00000.mp4").exists()
    with stage(spec, settings) as staged:
        staged.deliver(make(staged.spec))
    assert (other.path / "00000.mp4").exists()


def test_two_jobs_of_one_url_do_not_take_each_others_video(
    s3: Bucket, settings: Settings, spec: JobSpec
) -> None:
    with stage(spec, settings, job_id=JOB) as one, stage(spec, settings, job_id="ffffffff") as two:
        first, second = make(one.spec), make(two.spec)
        one.deliver(first)
        assert two.spec.output.path.exists()
        two.deliver(second)
    assert outbox(settings) == []


def test_a_remote_output_that_has_appeared_is_not_replaced(
    s3: Bucket, settings: Settings, spec: JobSpec
) -> None:
    with stage(spec, settings, job_id=JOB, replaces=False) as staged:
        staged.check_free()
        s3.put("out/v.mp4", b"somebody's")
        with pytest.raises(AnimatorError) as caught:
            staged.check_free()
    assert caught.value.code == "output_exists"
    assert spec.output in caught.value.message


def test_what_was_forgotten_is_removed_one_day(settings: Settings, spec: JobSpec) -> None:
    old = open_output(Location(spec.output.replace("v.mp4", "old.mp4")), JOB, settings)
    Workspace.take(old, JOB, 1)
    then = time.time() - staging.FORGOTTEN_SECONDS - 1
    os.utime(old.parent, (then, then))
    open_output(spec.output, JOB, settings)
    assert not old.parent.exists()


def test_outputs_of_one_name_do_not_meet(settings: Settings, s3: Bucket) -> None:
    outputs = [Location(f"{s3.url}/{name}") for name in ("a/v.mp4", "b/v.mp4", "v.mp4")]
    paths = {local_output(output, JOB, settings) for output in outputs}
    assert len({path.parent for path in paths}) == 3
    assert {path.name for path in paths} == {"v.mp4"}


def test_a_store_that_is_away_fails_the_job_so_that_it_can_be_retried(
    settings: Settings, spec: JobSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AnimatorError) as caught:
        enter(spec, settings)
    assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)
