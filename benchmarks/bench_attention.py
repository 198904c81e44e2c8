"""Time and peak memory of one local attention block: unfolding against ours.

All sides have the same random weights. They run in turns in one process, on the CPU and on a CUDA
device where there is one:

- ``unfolding``: the published formulation, as `gfla.ops.reference` writes it;
- ``unfolding, grid_sample``: the same with PyTorch's own sampling and unfolding operations;
- ``ours``: the exact form without unfolding, in PyTorch's operations;
- ``ours, compiled``: the same under `torch.compile` (on the CPU with --compile);
- ``ours, triton``: with the fused kernel (on CUDA).

"forward" and "forward + backward" begin with bare feature maps; "forward, prepared" has the source
half of the kernel predictor at hand, as within a clip, which unfolding cannot make use of. Peak
memory is what one call needs beyond its inputs and weights, see `environment.peak_bytes`; on the
CPU every figure comes from a process of its own. Prints tables and writes everything with the
machine's description.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from environment import describe, interleaved, peak_bytes
from torch import Tensor
from unfolding import SampledUnfoldingAttention, UnfoldingAttention

from gfla.models.attention import LocalAttention, set_attention_backend
from gfla.ops.backends import available_backends

RESULTS = Path(__file__).parent / "results"
HIDDEN = 128
SLOWEST, SAMPLED, OURS = "unfolding", "unfolding, grid_sample", "ours"
COMPILED, TRITON = "ours, compiled", "ours, triton"
FORWARD, PREPARED, BOTH = "forward", "forward, prepared", "forward + backward"


@dataclass(frozen=True)
class Case:
    """One block at one size."""

    kernel: int
    size: int
    channels: int
    batch: int = 1

    def __str__(self) -> str:
        maps = f"{self.size} x {self.size} x {self.channels}"
        return f"k = {self.kernel}, {maps}, batch {self.batch}"


CASES = ((3, 32, 256), (5, 64, 128))
"""Kernel, size and channels of the published models' two blocks at 256 x 256."""


def main() -> None:
    """Measure every case, or one peak of memory for another process of this script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="compile on the CPU, too (slow)")
    parser.add_argument("--out", type=Path, default=RESULTS / "attention.json")
    parser.add_argument("--peak-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak_of:
        request = json.loads(options.peak_of)
        print(cpu_peak(Case(**request["case"]), request["side"], request["work"]))
        return

    report: dict[str, Any] = {"environment": describe(), "repeats": options.repeats}
    report["backends"] = [backend._asdict() for backend in available_backends()]
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        report[device] = []
        for batch in options.batch:
            for kernel, size, channels in CASES:
                case = Case(kernel, size, channels, batch)
                compiled = device == "cuda" or options.compile
                report[device].append(measure(case, device, compiled, options.repeats))
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def measure(case: Case, device: str, compiled: bool, repeats: int) -> dict[str, Any]:
    """All sides of one case: how far their results differ, seconds and peaks."""
    torch.compiler.reset()  # compile for this very size
    report: dict[str, Any] = {"case": asdict(case), "seconds": {}, "peak bytes": {}}
    blocks = sides(case, device, compiled)
    report["largest difference"] = differences(case, device, blocks)
    print(f"\n{device}, {case}; largest differences {report['largest difference']}")
    for work in (FORWARD, PREPARED, BOTH):
        # Compiled for inference only; unfolding has nothing that could be prepared.
        chosen = [name for name in blocks if work != BOTH or name != COMPILED]
        calls = [call(blocks[name], case, device, work) for name in chosen]
        times = dict(zip(chosen, interleaved(calls, repeats), strict=True))
        if device == "cuda":
            peaks = {name: peak_bytes(run, device) for name, run in zip(chosen, calls, strict=True)}
        else:
            peaks = {name: child_peak(case, name, work) for name in chosen if name != COMPILED}
        report["seconds"][work], report["peak bytes"][work] = times, peaks
        show(work, times, peaks)
    return report


def sides(case: Case, device: str, compiled: bool) -> dict[str, LocalAttention]:
    """Every form of one block."""
    torch.manual_seed(0)
    ours = LocalAttention(case.channels, case.kernel, HIDDEN).to(device)
    set_attention_backend(ours, "torch")
    found = {
        SLOWEST: UnfoldingAttention(ours),
        SAMPLED: SampledUnfoldingAttention(ours),
        OURS: ours,
    }
    if compiled:
        other = LocalAttention(case.channels, case.kernel, HIDDEN).to(device)
        other.load_state_dict(ours.state_dict())
        set_attention_backend(other, "torch")
        other.compile(fullgraph=True)
        found[COMPILED] = other
    usable = {backend.name for backend in available_backends() if backend.usable}
    if device == "cuda" and "triton" in usable:
        fused = LocalAttention(case.channels, case.kernel, HIDDEN).to(device)
        fused.load_state_dict(ours.state_dict())
        set_attention_backend(fused, "triton")
        found[TRITON] = fused
    return found


def inputs(case: Case, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Target, source and flow; flows of some pixels, like those of a moving face."""
    random = torch.Generator().manual_seed(1)
    maps = (case.batch, case.channels, case.size, case.size)
    target, source = torch.randn(2, *maps, generator=random).to(device)
    flow = 3 * torch.randn(case.batch, 2, case.size, case.size, generator=random)
    return target, source, flow.to(device)


def call(block: LocalAttention, case: Case, device: str, work: str) -> Callable[[], object]:
    """A call to measure."""
    target, source, flow = inputs(case, device)
    if work != BOTH:
        with torch.inference_mode():
            kept = block.prepare(source) if work == PREPARED else None

        def forward() -> object:
            with torch.inference_mode():
                return block(target, kept or block.prepare(source), flow)

        return forward
    variables = [t.requires_grad_() for t in (target, source, flow)] + list(block.parameters())
    cotangent = torch.randn_like(target)

    def both() -> object:
        return torch.autograd.grad(block(target, block.prepare(source), flow), variables, cotangent)

    return both


def differences(case: Case, device: str, blocks: dict[str, LocalAttention]) -> dict[str, float]:
    """Largest difference of every side's result from unfolding's, in units of its largest."""
    results = {n: call(b, case, device, FORWARD)() for n, b in blocks.items()}
    wanted = results.pop(SLOWEST)
    assert isinstance(wanted, Tensor)
    return {n: float((r - wanted).abs().max() / wanted.abs().max()) for n, r in results.items()}


def child_peak(case: Case, side: str, work: str) -> int:
    """Peak bytes of one side on the CPU, in a process of its own."""
    request = json.dumps({"case": asdict(case), "side": side, "work": work})
    command = [sys.executable, __file__, "--peak-of", request]
    command += ["--threads", str(torch.get_num_threads())]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def cpu_peak(case: Case, side: str, work: str) -> int:
    """The same, in that process: libraries are loaded by a small case first."""
    for size in (8, case.size):
        sized = Case(case.kernel, size, case.channels, case.batch)
        run = call(sides(sized, "cpu", compiled=False)[side], sized, "cpu", work)
        if size == case.size:
            return peak_bytes(run)
        run()
    raise AssertionError


def show(work: str, times: dict[str, dict[str, float]], peaks: dict[str, int]) -> None:
    """Print a table; ratios are to the published formulation."""
    print(f"\n| {work} | ms (median) | least - most | times as fast | peak MiB | of unfolding's |")
    print("|---|---|---|---|---|---|")
    for name, values in times.items():
        median, least, most = (1000 * values[key] for key in ("median", "least", "most"))
        ratio = times[SLOWEST]["median"] / values["median"]
        peak = f"{peaks[name] / 2**20:.1f}" if name in peaks else "-"
        share = f"{peaks[name] / max(peaks[SLOWEST], 1):.2f}" if name in peaks else "-"
        spread = f"{least:.2f} - {most:.2f}"
        print(f"| {name} | {median:.2f} | {spread} | {ratio:.2f} | {peak} | {share} |")


if __name__ == "__main__":
    main()
