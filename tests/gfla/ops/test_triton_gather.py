from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")
CASES = Path(__file__).with_name("triton_cases.py")


def run_cases(**environment: str) -> None:
    """All of ``triton_cases.py`` in a process with these variables."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(CASES)]
    known = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    run = subprocess.run(
        command, env=known | environment, cwd=CASES.parents[2], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
def test_in_the_interpreter():
    run_cases(TRITON_INTERPRET="1")


@pytest.mark.gpu
def test_compiled_on_a_device():
    run_cases()


@pytest.mark.slow
@pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="Triton interprets")
@pytest.mark.parametrize(
    ("kernel", "narrow", "wide"), [(5, "bf16", "fp32"), (3, "fp32", "fp32"), (7, "fp64", "fp64")]
)
def test_the_kernels_compile_for_cuda_without_a_device(kernel, narrow, wide, tmp_path, monkeypatch):
    pytest.importorskip("triton.backends.nvidia")
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from gfla.ops import triton_gather

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    arithmetic = {"fp32": tl.float32, "fp64": tl.float64}[wide]
    constants = {
        "K": kernel, "AREA": triton.next_power_of_2(kernel**2), "POSITION": arithmetic,
        "ARITHMETIC": arithmetic, "BLOCK_L": triton_gather.BLOCK_LOCATIONS, "BLOCK_C": 128,
    }  # fmt: skip
    types = dict.fromkeys(("table", "weights", "out", "grad", "grad_weights"), f"*{narrow}")
    types |= dict.fromkeys(("flow", "grad_flow", "grad_table"), f"*{wide}")
    types |= dict.fromkeys(constants, "constexpr")
    for function in (triton_gather._forward, triton_gather._backward):
        names = function.arg_names
        source = ASTSource(
            function,
            {name: types.get(name, "i32") for name in names},
            {(names.index(name),): value for name, value in constants.items()},
        )
        compiled = triton.compile(
            source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": True}
        )
        assert compiled.asm["ptx"]
