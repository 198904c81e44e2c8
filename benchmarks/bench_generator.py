"""A frame of the face generators in every arithmetic: time, memory, and how far results differ.

The published face model at 256 px, with random weights: unfolding against ours, float32 against
bfloat16 (autocast), channels first against channels last in memory. All variants have the same
weights and run in turns in one process; ours keeps the source half of every reference that does
not change. On the CPU the default weights are measured, too, on the first frames of the sample
media, where the PSNR is of the last of several frames, each rendered from the ones before.

On a CUDA device the face model is measured at several batch sizes, with PyTorch's operations and
the Triton kernel, as it is, as a CUDA graph (new structures and the previous frame are copied in,
as within a clip) and under `torch.compile`. Peak memory there is what a variant needs in all:
weights, state, step. The first picture of a batch is compared with the CPU's float32.

Prints tables and writes everything with the machine's description.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from environment import describe, interleaved
from steps import CPU_VARIANTS, CUDA_VARIANTS, Variant, autocast, make_step, measured_step, place
from torch import Tensor

from animator.animation.faces.plan import make_plan
from animator.animation.inputs import open_inputs
from animator.animation.plan import JobPlan
from animator.samples.media import write_samples
from animator.settings import Settings
from animator.spec import JobSpec
from animator.watch import Watch
from gfla.build import build_generator, initialise
from gfla.config import PUBLISHED, AnimationConfig
from gfla.models.generators import AnimationGenerator

RESULTS = Path(__file__).parent / "results"
SIZE = 256
FRAMES = 8
"""Frames of the sample media that are rendered before results are compared."""


def main() -> None:
    """Measure the CPU, and CUDA where it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32], help="on CUDA")
    parser.add_argument("--out", type=Path, default=RESULTS / "generator.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # Float32 is to mean it: otherwise convolutions on CUDA round to ten bits.
    torch.backends.cudnn.allow_tf32 = False

    report: dict[str, Any] = {"environment": describe(), "repeats": options.repeats}
    face = face_model()
    report["cpu"] = {
        "face, 256 px, random weights": measure_face(face, options.repeats),
        f"default weights, {FRAMES} frames of the sample": measure_default(options.repeats),
    }
    if torch.cuda.is_available():
        report["cuda"] = [measure_cuda(face, batch, options.repeats) for batch in options.batch]
    options.out.write_text(json.dumps(report, indent=1) + "\n")


def face_model() -> AnimationGenerator:
    """The published layout at full width with random weights."""
    config = PUBLISHED["face"]
    assert isinstance(config, AnimationConfig)
    torch.manual_seed(0)
    generator = build_generator(config).eval().requires_grad_(False)
    assert isinstance(generator, AnimationGenerator)
    initialise(generator, gain=0.5)
    return generator


def face_inputs(batch: int) -> tuple[Tensor, Tensor]:
    """Noise; the first picture is the same in every batch."""
    random = torch.Generator().manual_seed(1)
    pictures = [
        (torch.rand(3, SIZE, SIZE, generator=random) * 2 - 1,
         torch.rand(16, SIZE, SIZE, generator=random))
        for _ in range(batch)
    ]  # fmt: skip
    images, structures = zip(*pictures, strict=True)
    return torch.stack(images), torch.stack(structures)


def measure_face(face: AnimationGenerator, repeats: int) -> dict[str, Any]:
    """The face model on the CPU."""
    inputs = face_inputs(1)
    steps = {variant: make_step(face, variant, inputs, "cpu") for variant in CPU_VARIANTS}
    return table("face model, cpu", steps, repeats)


def measure_default(repeats: int) -> dict[str, Any]:
    """The default weights on the CPU: time a step, and compare the last of several frames."""
    with tempfile.TemporaryDirectory() as folder:
        source, driving = write_samples(Path(folder))
        places = str(source), str(driving), str(Path(folder) / "out.mp4")
        spec = JobSpec(*places, end="1.0", size=256, margin=1.75)
        settings, watch = Settings.from_environment(), Watch(lambda progress: None, lambda: False)
        plan = make_plan(spec, open_inputs(spec, settings), settings, watch)
    steps = {variant: rollout_step(plan, variant) for variant in CPU_VARIANTS}
    return table("default weights, cpu", steps, repeats)


def rollout_step(plan: JobPlan, variant: Variant) -> Callable[[], Tensor]:
    """The step after some frames of a plan, all in the arithmetic of a variant."""
    generator = plan.generator
    state = plan.start()
    drawn = [generator.guidance(points, state) for points in plan.targets[:FRAMES]]
    network, arithmetic = place(generator.network, variant, "cpu"), autocast(variant, "cpu")
    image, structure = state.source.image, state.source.structure
    with torch.inference_mode(), arithmetic():
        state = network.start(image.clone(), structure.clone(), state.source.landmarks)
        for structure, landmarks in drawn[:-1]:
            state, _ = network.step(state, structure, landmarks)

    def step() -> Tensor:
        with torch.inference_mode(), arithmetic():
            picture: Tensor = network.step(state, *drawn[-1])[1].image
        return picture

    return step


def table(
    title: str, steps: dict[Variant, Callable[[], Tensor]], repeats: int
) -> dict[str, dict[str, Any]]:
    """Times in turns, and differences from float32 in our own form, channels first."""
    exact = next(v for v in steps if v.plain)
    pictures = {variant: step() for variant, step in steps.items()}
    times = dict(zip(steps, interleaved(list(steps.values()), repeats), strict=True))
    print(f"\n| {title} | ms a frame (median) | least - most | times as fast | PSNR, dB |")
    print("|---|---|---|---|---|")
    report = {}
    for variant, values in times.items():
        ratio = times[exact]["median"] / values["median"]
        psnr = None if variant is exact else fidelity(pictures[variant], pictures[exact])
        report[variant.name] = {"seconds": values, "times as fast": ratio, "psnr": psnr}
        median, least, most = (1000 * values[key] for key in ("median", "least", "most"))
        shown = "-" if psnr is None else f"{psnr:.1f}"
        name = variant.name
        print(f"| {name} | {median:.1f} | {least:.1f} - {most:.1f} | {ratio:.2f} | {shown} |")
    return report


def fidelity(picture: Tensor, exact: Tensor) -> float:
    """PSNR in dB of a picture in [-1, 1], at most 200."""
    error = (picture.double().cpu() - exact.double().cpu()).square().mean()
    return min(10 * math.log10(4 / max(float(error), 1e-30)), 200.0)


def measure_cuda(face: AnimationGenerator, batch: int, repeats: int) -> dict[str, Any]:
    """The face model on CUDA at one batch size.

    One variant after the other: all at once may be more than a device holds.
    """
    exact = next(v for v in CPU_VARIANTS if v.plain)
    image, structure = face_inputs(batch)
    wanted = make_step(face, exact, (image[:1], structure[:1]), "cpu")()
    print(f"\n| face model, cuda, batch {batch} | ms a step (median) | least - most ", end="")
    print("| frames/s | peak MiB | PSNR, dB |\n|---|---|---|---|---|---|")
    variants: dict[str, Any] = {}
    for variant in CUDA_VARIANTS:
        if not variant.usable:
            continue
        torch.compiler.reset()  # compile for this very variant and size
        try:
            step, peak = measured_step(face, variant, (image, structure))
            (times,) = interleaved([step], 3 * repeats)
        except torch.OutOfMemoryError:
            variants[variant.name] = "out of memory"
            print(f"| {variant.name} | out of memory | | | | |")
            continue
        psnr, rate = fidelity(step()[:1], wanted), batch / times["median"]
        variants[variant.name] = {
            "seconds": times, "frames a second": rate, "peak bytes": peak, "psnr": psnr,
        }  # fmt: skip
        median, least, most = (1000 * times[key] for key in ("median", "least", "most"))
        spread = f"{least:.2f} - {most:.2f} | {rate:.1f}"
        print(f"| {variant.name} | {median:.2f} | {spread} | {peak / 2**20:.0f} | {psnr:.1f} |")
        del step
    return {"batch": batch, "variants": variants}


if __name__ == "__main__":
    main()
