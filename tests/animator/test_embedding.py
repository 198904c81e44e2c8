"""The library inside another program: settings are what it hands in, and the environment is not."""

from __future__ import annotations

import ast
import os
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import pytest

from animator import Client, JobSpec, Settings, animate
from animator.animation.rollout.loading import load_portrait
from animator.broker.embedded import EmbeddedRedis, find_server
from animator.errors import AnimatorError, JobCancelled
from animator.media.decode import VideoReader
from animator.record import Progress
from animator.workspace.attempt import Workspace
from gfla import checkpoint
from gfla.models.attention import LocalAttention
from tests.animator.media_files import write_video
from tests.helpers import COMPACT, small_generator

REPOSITORY = Path(__file__).parents[2]
FRAMES, SIZE = 5, 128

READS_THE_ENVIRONMENT = {
    # The edges: where a command, a worker or a script's call begins.
    "animator/animation/pipeline.py": "the default of `animate`",
    "animator/jobs/client.py": "the default of `Client.connect`",
    "animator/settings.py": "reads the variables",
    "animator/processor.py": "bounds the threads of PyTorch, before a command imports it",
    "animator/models/folder.py": "the default of detectors that are told no state folder",
    "animator/web/settings.py": "the server's start",
    "worker/celery.py": "a worker's start",
    "worker/health.py": "a command of its own",
    "worker/logs.py": "a worker's start",
    "worker/process.py": "a worker's start",
    # What is not about settings.
    "animator/cli/train.py": "quiets PyTorch",
    "animator/media/coding.py": "quiets a coder",
    "animator/broker/embedded.py": "where the system has this user's sockets",
    "animator/files/remote.py": "credentials, which clouds' libraries take from there",
    "animator/sandbox.py": "what a child is allowed to see",
    "gfla/ops/backends.py": "Triton's own switch",
    "worker/dispatch.py": "what a worker's process inherits",
    "worker/presence.py": "who has started this worker",
    "worker/queues.py": "the GPUs that CUDA shows",
}
"""Modules that read the environment, and why they may; commands (`animator/cli/`) may, too."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder; no variable of ours is set."""
    for name in [name for name in os.environ if name.startswith("ANIMATOR_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    """What an embedder asks for, nothing of which is the default."""
    return Settings(
        tmp_path / "state", attention="torch", segment_frames=2, cache_bytes=10**8, max_seconds=60,
        slots=1, device="cpu", detector="dlib",
    )  # fmt: skip


@pytest.fixture
def spec(samples: tuple[Path, Path], tmp_path: Path) -> JobSpec:
    """A job of a few frames with a small model."""
    (tmp_path / "out").mkdir()
    weights = tmp_path / "small.safetensors"
    checkpoint.save(weights, small_generator(COMPACT), {"name": "small", "structure_size": 64})
    with VideoReader(samples[1]) as reader:
        pictures = [cv2.resize(one, (256, 256)) for one in next(iter(reader)).pixels[:FRAMES]]
    pts = [512 * number for number in range(FRAMES)]
    driving = write_video(
        tmp_path / "driving.mp4", pts, Fraction(1, 12800), pictures=pictures, size=(256, 256)
    )
    return JobSpec(
        str(samples[0]), str(driving), str(tmp_path / "out" / "out.mp4"), size=SIZE,
        margin=1.75, weights=str(weights), detector="dlib", device="cpu",
    )  # fmt: skip


def test_state_lies_where_it_was_asked_for(spec: JobSpec, settings: Settings, home: Path) -> None:
    assert animate(spec, settings=settings).cached == ()
    assert {path.name for path in settings.state_dir.iterdir()} == {"cache"}
    assert len(list(settings.cache_dir.rglob("*.npz"))) == 2
    assert list(home.rglob("*")) == []
    assert animate(spec, settings=settings).cached == ("source", "driving")
    other = replace(settings, state_dir=settings.state_dir / "other")
    assert animate(spec, settings=other).cached == ()


def test_what_is_kept_is_bounded(spec: JobSpec, settings: Settings) -> None:
    small = replace(settings, cache_bytes=1)
    assert animate(spec, settings=small).cached == ()
    assert list(small.cache_dir.rglob("*.npz")) == []


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"max_bytes": 1000}, "too_large"),
        ({"max_image_pixels": 1000}, "too_large"),
        ({"max_frame_pixels": 1000}, "too_large"),
        ({"max_frames": FRAMES - 1}, "too_long"),
    ],
)
def test_limits_hold(
    limits: dict[str, int], code: str, spec: JobSpec, settings: Settings, home: Path
) -> None:
    with pytest.raises(AnimatorError) as caught:
        animate(spec, settings=replace(settings, **limits))
    assert caught.value.code == code
    assert os.listdir(Path(spec.output).parent) == list(home.rglob("*")) == []


def test_a_longer_video_than_allowed_is_refused(
    spec: JobSpec, settings: Settings, samples: tuple[Path, Path]
) -> None:
    with pytest.raises(AnimatorError) as caught:
        animate(replace(spec, driving=str(samples[1])), settings=replace(settings, max_seconds=1))
    assert caught.value.code == "too_long"


def test_attention_runs_as_it_was_asked_for(
    spec: JobSpec, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    forward = LocalAttention.forward

    def spy(self: LocalAttention, *inputs: Any) -> Any:
        seen.add(self.backend)
        return forward(self, *inputs)

    monkeypatch.setattr(LocalAttention, "forward", spy)
    animate(spec, settings=settings)
    assert seen == {"torch"}
    animate(spec, settings=replace(settings, attention="auto"))
    assert seen == {"torch", "auto"}
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(AnimatorError, match="ANIMATOR_ATTENTION") as caught:
        animate(spec, settings=replace(settings, attention="triton"))
    assert caught.value.code == "device_unavailable"


@pytest.mark.parametrize("length", [2, 3])
def test_segments_are_as_long_as_they_were_asked_for(
    length: int, spec: JobSpec, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, segment_frames=length)
    seen: list[Progress] = []

    def should_stop() -> bool:
        return bool(seen) and seen[-1].stage == "generate" and seen[-1].frame > length

    monkeypatch.setattr("animator.watch.REPORT_SECONDS", 0)
    workspace = Workspace.take(spec.output, "job", 1)
    with pytest.raises(JobCancelled):
        animate(
            spec, settings=settings, report=seen.append, workspace=workspace,
            should_stop=should_stop,
        )  # fmt: skip
    result = animate(spec, settings=settings, workspace=Workspace.take(spec.output, "job", 2))
    assert (result.frames, result.resumed) == (FRAMES, length)


def test_the_engine_has_the_slots_that_were_asked_for(spec: JobSpec, settings: Settings) -> None:
    animate(spec, settings=replace(settings, slots=3))
    assert load_portrait(spec.weights, "cpu", "float32", settings).engine().slots == 3


def test_a_client_uses_its_state_folder(settings: Settings, home: Path) -> None:
    if find_server() is None:
        pytest.skip("there is no Redis server on this machine")
    try:
        assert Client.connect(settings).store.workers() == []
        assert (settings.state_dir / "redis").is_dir()
    finally:
        EmbeddedRedis(settings.state_dir).stop()
    assert list(home.rglob("*")) == []


def test_a_child_gets_equal_settings(settings: Settings) -> None:
    others = replace(
        settings, broker_url="redis://host/1", storage="/shared", allowed_urls=("s3://a/", "s3://b"),
        concurrency=2, shutdown_seconds=4, max_frames=7, retention_days=0, log_format="json",
        metrics_port=9100, webhook_hosts=("example.org", "*.net"), webhook_secret="s",
    )  # fmt: skip
    variables = others.to_environment()
    assert Settings.from_environment(variables) == others
    assert len(variables) == len(fields(Settings))
    plain = Settings(settings.state_dir)
    assert Settings.from_environment(variables | plain.to_environment()) == plain


def test_only_the_edges_read_the_environment() -> None:
    files = [
        path
        for name in ("animator", "gfla", "worker")
        for path in (REPOSITORY / name).rglob("*.py")
    ]
    found = {
        path.relative_to(REPOSITORY).as_posix()
        for path in files
        if reads_environment(ast.parse(path.read_text(encoding="utf-8")))
    }
    commands = {name for name in found if name.startswith("animator/cli/")}
    assert commands
    assert found - commands == READS_THE_ENVIRONMENT.keys() - commands


def reads_environment(tree: ast.AST) -> bool:
    """Whether a module asks for variables: `os.environ`, `os.getenv`, or for all settings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            # With an argument, it reads what another process has sent.
            if node.func.attr == "from_environment" and not node.args:
                return True
    return False
