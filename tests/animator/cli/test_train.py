"""`animator train`: a person's way into the trainer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from animator.cli import app
from animator.cli.train import TrainingLines, describe, panel
from gfla import checkpoint
from gfla.training.loop import StepReport

SMALL = """
model: {kind: view-synthesis, encoder_widths: [4, 6, 8], flow_widths: [4, 4, 6, 6, 6],
        attention_hidden: 4}
data: {kind: synthetic-views, image_size: [64, 64], workers: 1, options: {objects: 2}}
losses: {adversarial: 0, perceptual: 0, style: 0, correctness: 0, warped: 1}
batch: 2
steps: 100000
record: {log_every: 2, sheet_rows: 2}
"""
OTHER = pytest.mark.skipif("ANIMATOR_LONG_TESTS" not in os.environ, reason="takes 15 seconds")
REPORT = StepReport(
    120, 6000, {"loss": 1.23456, "feature_distance": 0.5}, 12.34, 3725.0, failed=2, waiting=0.25
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def animator(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "animator", *map(str, arguments)]


def train(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(animator("train", *arguments), capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 0), pytest.param(signal.SIGINT, 130, marks=OTHER)]
)
def test_a_signal_ends_a_run_with_a_checkpoint_and_it_goes_on(
    config: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        animator("train", config, "--out", out),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    metrics = out / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.read_text()):
        time.sleep(0.1)
    os.killpg(process.pid, number)  # as a terminal and a scheduler do: loading processes, too
    printed, said = process.communicate(timeout=60)
    assert process.returncode == status, said
    assert "stopped at step" in said and "Traceback" not in said
    weights = Path(printed.strip())
    assert weights == out / "average.safetensors"
    step = torch.load(out / "state.pt", weights_only=True)["step"]
    assert checkpoint.load(weights).info["step"] == step >= 2
    done = train(config, "--out", out, "--max-steps", 2, "record.log_every=1")
    assert f"goes on after step {step}" in done.stderr, done.stderr
    assert f"max-steps at step {step + 2}" in done.stderr
    steps = [json.loads(line)["step"] for line in metrics.open()]
    assert len(steps) == len(set(steps)) and steps[-1] == step + 2


@pytest.mark.slow
def test_two_processes_train_together(config: Path, tmp_path: Path) -> None:
    done = train(config, "--out", tmp_path / "run", "--devices", 2, "--device", "cpu",
                 "--max-steps", 2)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("parameters, begins") == 1
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["position"] == 8


def test_a_dry_run_prints_what_a_run_would_take(config: Path) -> None:
    done = CliRunner().invoke(app, ["train", str(config), "--dry-run", "batch=3"])
    assert done.exit_code == 0, done.output
    assert "batch: 3" in done.stdout
    for what in (r"parameters +[\d,]+", r"memory +about [\d,]+ MiB", r"step +\d+\.\d+ s on cpu"):
        assert re.search(what, done.stdout), what


def test_a_dry_run_needs_no_features(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells sizes and times, and what the run itself will lack; nothing is downloaded."""
    monkeypatch.setattr(torch.hub, "download_url_to_file", _refused)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    done = CliRunner().invoke(
        app, ["train", str(config), "--dry-run", "losses.feature_distance=1", "batch=1"]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"step +\d+\.\d+ s", done.stdout)
    assert "lacking          the weights of vgg19 can neither be read" in done.stdout


def _refused(url: str, *rest: object, **options: object) -> None:
    raise OSError("no network")


def test_a_run_shorter_than_its_interval_has_metrics(config: Path, tmp_path: Path) -> None:
    out, metrics = tmp_path / "run", tmp_path / "run" / "metrics.jsonl"
    options = ["train", str(config), "--out", str(out), "--max-steps", "1", "record.log_every=50"]
    for step in (1, 2):
        done = CliRunner().invoke(app, options)
        assert done.exit_code == 0, done.output
        (line,) = [json.loads(line) for line in metrics.open()]
        assert (line["step"], line["part"]) == (step, True) and len(line) > 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{config}", "--out", "{out}", "optimizer.learning_rat=1"], "invalid_config",
         "did you mean 'learning_rate'?"),
        (["nothing", "--out", "{out}"], "invalid_config", "neither a YAML file nor one of"),
        (["{config}", "--out", "{out}", "batch=0"], "invalid_config", "batch is 0"),
        (["{config}"], "invalid_option", "--out is missing"),
        (["face", "--out", "{out}"], "invalid_option", "--data is missing"),
        (["face", "--out", "{out}", "--data", "{out}"], "bad_data", "there is no folder"),
        (["{config}", "--out", "{out}", "--device", "tpu"], "invalid_config", "'tpu'"),
        (["{config}", "--out", "{out}", "start_from=/none"], "weights_unreadable", "/none"),
        (["{config}", "--out", "{out}", "losses.feature_distance=1", "features.path=/none"],
         "weights_unreadable", "/none"),
        (["{config}", "--out", "{config}/run", "--max-steps", "1"], "output_not_writable", "run"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_with_a_code(
    config: Path, tmp_path: Path, arguments: list[str], code: str, said: str
) -> None:
    places = {"config": config, "out": tmp_path / "run"}
    done = CliRunner().invoke(app, ["train", *(word.format(**places) for word in arguments)])
    assert done.exit_code == 1, done.output
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith(f"error [{code}]: ") and said in lines[-1], done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.device_count() > 0, reason="there are CUDA devices here")
def test_devices_that_are_not_there_are_refused(config: Path, tmp_path: Path) -> None:
    options = ["train", str(config), "--out", str(tmp_path / "run"), "--device", "cuda"]
    done = CliRunner().invoke(app, options)
    assert "error [device_unavailable]: 1 CUDA devices were asked for, 0 found." in done.stderr


def test_another_run_in_the_folder_is_refused(config: Path, tmp_path: Path) -> None:
    options = ["train", str(config), "--out", str(tmp_path / "run"), "--max-steps", "1"]
    assert CliRunner().invoke(app, options).exit_code == 0
    done = CliRunner().invoke(app, [*options, "seed=5"])
    assert "error [other_run]" in done.stderr and "seed: 1, not 5" in done.stderr


def test_progress_is_a_line_in_a_log_and_a_panel_on_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert describe(REPORT) == (
        "step 120 of 6,000, loss 1.235, feature_distance 0.5, 12.3 images/s, 25% of the time "
        "waiting for data, 2 broken samples, 1:02:05 left"
    )
    lines = TrainingLines()
    for _ in range(3):
        lines.update(REPORT)
    assert capsys.readouterr().err.count("step 120") == 1
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(panel(REPORT))
    shown = console.export_text()
    for part in ("step 120 of 6,000", "12.3 images/s", "1:02:05 left", "feature distance", "1.235"):
        assert part in shown
