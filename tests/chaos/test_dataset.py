"""Data sets come out the same whatever happens: killed makers, a store that fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from animator.dataset.tars import members
from tests.chaos import dataset_media, killed_dataset
from tests.faulty_proxy import FaultyProxy, Plan
from tests.object_store import Bucket
from tests.worker.workers import Fleet, worker_command

pytestmark = pytest.mark.slow


def test_a_data_set_is_the_same_after_its_makers_were_killed(
    samples: tuple[Path, Path],
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ANIMATOR_LEASE_SECONDS", "3")
    monkeypatch.setenv("ANIMATOR_SEGMENT_FRAMES", "4")
    # A shard that is whole when all are killed, and one that is not yet begun or half made
    arguments = dataset_media.arguments(tmp_path, samples, (2, 2))
    arguments += ["--shard-size", "2", "--extra", "landmarks"]
    told = killed_dataset.run(arguments, tmp_path, samples=4, drivings=2, kills=1)
    print(told.summary())  # noqa: T201 - shown if the test fails
    assert not told.broken
    assert len(told.kills) == 1 and told.shards == 2


@pytest.mark.skipif(not os.environ.get("ANIMATOR_LONG_TESTS"), reason="takes a minute")
def test_a_data_set_on_a_store_that_fails(
    samples: tuple[Path, Path],
    redis_url: str,
    state_dir: Path,
    s3: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Two workers make it through a proxy that fails, and again without."""
    pictures = dataset_media.portraits(samples[0], tmp_path / "in", 3)
    videos = dataset_media.clips(samples[1], tmp_path / "in", 2)
    for path in (*pictures, *videos):
        s3.put(f"in/{path.name}", path.read_bytes())
    rows = [{"source": one.name, "driving": two.name} for one in pictures for two in videos]
    s3.put("in/pairs.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    weights = dataset_media.quick_weights(tmp_path / "random.safetensors")
    monkeypatch.setenv("ANIMATOR_BROKER_URL", redis_url)
    options = [
        "--weights", str(weights), "--size=128", "--margin=1.75", "--device", "cpu",
        "--shard-size", "4",
    ]  # fmt: skip

    def make(name: str) -> list[str]:
        """Make it; the lines of the workers' log that tell of landmarks."""
        monkeypatch.setenv("ANIMATOR_STORAGE", f"{s3.url}/shared-{name}")
        out = ["--out", f"{s3.url}/{name}", "--extra", "landmarks", *options]
        with tempfile.TemporaryFile() as log:
            fleet = Fleet(lambda: worker_command("-c", "2", app="worker"), 2, log)
            try:
                command = [sys.executable, "-m", "animator", "batch", f"{s3.url}/in/pairs.jsonl"]
                done = subprocess.run([*command, *out], stderr=subprocess.STDOUT, timeout=240)
            finally:
                fleet.end()
            log.seek(0)
            text = log.read().decode(errors="replace")
        assert done.returncode == 0, text
        return [line for line in text.splitlines() if "extracted" in line]

    assert len(make("calm")) == 2
    with FaultyProxy(s3.endpoint, Plan(seed=4, share=0.15)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        assert len(make("troubled")) == 2
    assert sum(proxy.faults.values()) > 20 and len(proxy.faults) == 6
    calm, troubled = (
        {key.removeprefix(name): key for key in s3.keys() if key.startswith(f"{name}/")}
        for name in ("calm", "troubled")
    )
    assert calm.keys() == troubled.keys()
    assert {key for key in calm if "parts" in key} == set() and s3.unfinished() == []
    for name in calm:
        if name.endswith(".tar"):
            assert s3.get(calm[name]) == s3.get(troubled[name])
    (tmp_path / "first.tar").write_bytes(s3.get("troubled/shards/00000.tar"))
    names = [name for name, _ in members(tmp_path / "first.tar")]
    assert len(names) == 12 and names[0].endswith(".mp4")
