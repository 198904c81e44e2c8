"""Every part of the GPU check, small and on the CPU, in this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("lightning")
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
FIGURES = {
    "machine": ("torch", None),
    "parity": ("psnr dB", 5 * 2),
    "kernel": ("gradients off", 2 * 2),
    "graphs": ("difference", 2 * 2),
    "memory": ("halvings", 1),
    "engine": ("idle", 2),
    "training": ("pictures a second", None),
    "step": ("frames a second", 2 * 3 + 2 * 2),
    "learning": ("loss", 2),
}
"""A column of each part's rows, and how many there are."""
QUICK = ("machine", "kernel", "memory")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def measured(name: str, folder: Path):
    from gpu.parts import Setting, measure_of, part_named
    from gpu.sheet import Sheet

    sheet = Sheet(folder / "sheet.json")
    measure_of(part_named(name))(Setting("cpu", 30, folder, small=True), sheet)
    assert Sheet.read(folder / "sheet.json") == sheet
    return sheet


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in FIGURES],
)
def test_a_part_finds_its_figures(name: str, tmp_path: Path) -> None:
    sheet = measured(name, tmp_path)
    assert not sheet.faults
    column, count = FIGURES[name]
    if name == "machine":
        assert column in {row["what"] for row in sheet.rows}
        assert "There is no CUDA here." in sheet.notes
        return
    found = [row[column] for row in sheet.rows if column in row]
    assert len(found) == (count or len(found)) > 0
    assert all(isinstance(value, int | float) for value in found)
    if name == "training":  # what takes longest first
        shares = [row["share"] for row in sheet.rows if "operation" in row]
        assert shares == sorted(shares, reverse=True)
        assert 0 < sum(shares) <= 1.001


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ANIMATOR_LONG_TESTS"), reason="takes half a minute")
@pytest.mark.parametrize("name", ["suite", "jobs"])
def test_a_part_with_processes_of_its_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in [name for name in os.environ if name.startswith("ANIMATOR_")]:
        monkeypatch.delenv(variable)
    for variable in (
        *("ANIMATOR_STATE_DIR", "ANIMATOR_BROKER_URL", "ANIMATOR_DETECTOR", "ANIMATOR_DEVICE"),
    ):
        monkeypatch.setenv(variable, "")  # which the part sets for its children
    sheet = measured(name, tmp_path)
    assert not sheet.faults
    if name == "suite":
        assert {row["outcome"] for row in sheet.rows} <= {"passed", "skipped"}
    else:
        assert [row["what"] for row in sheet.rows] == ["run", "first job", "jobs together"]
        assert sheet.rows[-1]["jobs"] == 2


def test_kernels_that_overlap_count_once() -> None:
    from gpu.engine import covered

    assert covered([(5, 6), (0, 2), (1, 4), (1.5, 3), (6, 7)]) == 6
    assert covered([]) == 0


def test_missing_weights_are_drawn_in_their_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu import learning, networks
    from gpu.parts import Setting
    from gpu.sheet import Sheet

    from gfla import checkpoint
    from gfla.training.config_files import load_config

    real = checkpoint.load(networks.DEFAULT_WEIGHTS)
    # Training can begin with them, whatever configuration they come from.
    model = learning.model_of(networks.DEFAULT_WEIGHTS)
    assert load_config("face-compact", model).model == real.generator.config
    monkeypatch.setattr(networks, "DEFAULT_WEIGHTS", tmp_path / "none.safetensors")
    sheet = Sheet()
    drawn = checkpoint.load(networks.default_weights(Setting("cpu", 9, tmp_path), sheet))
    assert drawn.generator.config == real.generator.config
    assert drawn.info["structure_size"] == real.info["structure_size"]
    assert "missing" in sheet.notes[0]


@pytest.mark.slow
def test_parity_tells_a_wrong_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu import parity

    right = parity.rendered
    calls = iter(range(1000))
    monkeypatch.setattr(
        parity, "rendered", lambda *given: right(*given) + 0.1 * (next(calls) % 3 == 1)
    )
    assert any(
        "person-fashion in float32" in fault for fault in measured("parity", tmp_path).faults
    )


def test_the_kernel_that_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu import kernel

    right = kernel.unfolded
    monkeypatch.setattr(kernel, "unfolded", lambda *given: 1.01 * right(*given))
    assert any("float32" in fault for fault in measured("kernel", tmp_path).faults)
