"""Commands with files elsewhere: a bucket of a real S3 server."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from animator.jobs.store import JobStore
from animator.record import JobRecord, JobState, Result
from animator.settings import Settings
from animator.spec import JobSpec
from tests.animator.farm_commands import Farm
from tests.object_store import Bucket

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def animator(settings: Settings, s3: Bucket, store: JobStore, tmp_path: Path) -> Command:
    """Runs the command with the fake pipeline, in an empty folder."""
    s3.put("in/me.png", b"picture")
    s3.put("in/clip.mp4", b'{"frames": 5}')
    folder = tmp_path / "here"
    folder.mkdir()

    def run(
        *arguments: str, module: str = "tests.animator.cli.fake_command"
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def remote_video(farm: Farm, s3: Bucket) -> JobRecord:
    """A job whose video is in the bucket."""
    s3.put("out/v.mp4", b"video")
    output = f"{s3.url}/out/v.mp4"
    job = farm.store.create(JobSpec("/a/me.png", "/a/clip.mp4", output))
    assert farm.store.claim(job.id, "here")
    assert farm.store.succeed(job.id, 1, Result(output, 5, 1.0, 5.0))
    return farm.store.get(job.id)


def test_run_with_real_files(animator: Command, s3: Bucket, samples: tuple[Path, Path]) -> None:
    source, driving = samples
    s3.put("in/a.png", source.read_bytes())
    s3.put("in/b.mp4", driving.read_bytes())
    done = animator(
        *("run", f"{s3.url}/in/a.png", f"{s3.url}/in/b.mp4", "-o", f"{s3.url}/out/ab.mp4"),
        *("--end", "0.3", "--size=128", "--margin=1.75", "--device", "cpu"),
        module="animator",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{s3.url}/out/ab.mp4\n"
    with av.open(io.BytesIO(s3.get("out/ab.mp4")), "r") as video:
        assert len(list(video.decode(video=0))) > 3
    assert not list((Settings.from_environment().state_dir / "outbox").iterdir())


def test_run_into_this_folder(animator: Command, s3: Bucket, tmp_path: Path) -> None:
    done = animator("run", f"{s3.url}/in/me.png", f"{s3.url}/in/clip.mp4")
    assert done.stdout == f"{tmp_path}/here/me--clip.mp4\n"
    assert Path(done.stdout.strip()).read_bytes().startswith(b"made of ")


def test_mistakes_are_told_at_once(animator: Command, s3: Bucket) -> None:
    here = f"{s3.url}/in/me.png"
    for verb in ("run", "submit"):
        for arguments, code in (
            ((here, "s3://other/clip.mp4"), "url_refused"),
            ((here, here, "-o", "s3://other/out.mp4"), "url_refused"),
            ((here, here, "-o", f"{s3.url}/out.avi"), "invalid_option"),
        ):
            done = animator(verb, *arguments)
            assert done.returncode == 1 and done.stderr.startswith(f"error [{code}]: ")
    done = animator("run", here, f"{s3.url}/in/none.mp4")
    assert "error [no_such_file]" in done.stderr and f"{s3.url}/in/none.mp4" in done.stderr


def test_submit_leaves_urls_as_they_are(animator: Command, s3: Bucket, store: JobStore) -> None:
    source, driving = f"{s3.url}/in/me.png", f"{s3.url}/in/clip.mp4"
    output = f"{s3.url}/out/v.mp4"
    done = animator("submit", "--no-wait", source, driving, "-o", output, "--key", "auto", "--json")
    spec = json.loads(done.stdout)["spec"]
    assert (spec["source"], spec["driving"], spec["output"]) == (source, driving, output)
    again = animator("submit", "--no-wait", source, driving, "-o", output, "--key", "auto")
    assert "has this key and is queued" in again.stderr
    (job,) = store.list_jobs()
    assert job.state is JobState.QUEUED


def test_a_check_looks_at_what_is_here(animator: Command, s3: Bucket) -> None:
    done = animator("check", f"{s3.url}/in/me.png", f"{s3.url}/in/clip.mp4", module="animator")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("note [remote_input]") == 2


def test_fetch_copies_what_is_elsewhere(farm: Farm, s3: Bucket, remote_video: JobRecord) -> None:
    target = Path.cwd() / "v.mp4"
    assert farm.call("fetch", remote_video.id).stdout == f"{target}\n"
    assert target.read_bytes() == b"video"
    assert farm.error("fetch", remote_video.id).startswith("error [output_exists]: ")
    assert farm.json("fetch", remote_video.id, "--force", "-o", "w.mp4") == [
        {"id": remote_video.id, "source": f"{s3.url}/out/v.mp4", "output": f"{os.getcwd()}/w.mp4"}
    ]


def test_fetch_of_what_is_gone_or_not_allowed(
    farm: Farm, s3: Bucket, remote_video: JobRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.client().delete_object(Bucket=s3.name, Key="out/v.mp4")
    assert farm.error("fetch", remote_video.id).startswith("error [no_such_file]: ")
    monkeypatch.delenv("ANIMATOR_ALLOWED_URLS")
    assert farm.error("fetch", remote_video.id).startswith("error [url_refused]: ")
    assert not list(Path.cwd().iterdir())
