"""The ways to run one step of a generator that the benchmarks compare."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from environment import peak_bytes
from torch import Tensor
from unfolding import unfolding

from gfla.models.attention import set_attention_backend
from gfla.models.generators import AnimationGenerator
from gfla.models.rollout import Reference, RolloutState
from gfla.ops.backends import available_backends

Step = Callable[[], Tensor]
WARM_UP = 3


@dataclass(frozen=True)
class Variant:
    """One way to run a step.

    Attributes:
        form: of attention: "unfolding", or the backend of ours.
        bfloat16: autocast; else float32.
        channels_last: layout of pictures, maps and weights in memory.
        mode: "eager", "graph" (CUDA) or "compile".
    """

    form: str = "torch"
    bfloat16: bool = False
    channels_last: bool = False
    mode: str = "eager"

    @property
    def name(self) -> str:
        """All of it, for tables."""
        parts = ["unfolding" if self.form == "unfolding" else f"ours, {self.form}"]
        parts.append("bfloat16" if self.bfloat16 else "float32")
        parts += ["channels last"] if self.channels_last else []
        parts += [] if self.mode == "eager" else [self.mode]
        return ", ".join(parts)

    @property
    def layout(self) -> torch.memory_format:
        """Of pictures, maps and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def plain(self) -> bool:
        """Whether this is what all others are compared with."""
        return self == Variant()

    @property
    def usable(self) -> bool:
        """Whether it can run on this machine."""
        return self.form in ("unfolding", *(b.name for b in available_backends() if b.usable))


CPU_VARIANTS = (
    Variant("unfolding"),
    Variant(),
    Variant(channels_last=True),
    Variant(bfloat16=True),
    Variant(bfloat16=True, channels_last=True),
)
CUDA_VARIANTS = (
    Variant("unfolding"),
    Variant("torch"),
    Variant("triton"),
    Variant("unfolding", bfloat16=True),
    *(
        Variant(form, bfloat16=True, channels_last=last, mode=mode)
        for form in ("torch", "triton")
        for last in (False, True)
        for mode in ("eager", "graph", "compile")
    ),
)


def place(network: AnimationGenerator, variant: Variant, device: str) -> AnimationGenerator:
    """A copy of a network in the form and the layout of a variant."""
    if variant.form == "unfolding":
        network = unfolding(network).to(device)
    else:
        network = copy.deepcopy(network).to(device)
        set_attention_backend(network, variant.form)
    return network.to(memory_format=variant.layout)


def autocast(variant: Variant, device: str) -> Callable[[], AbstractContextManager[object]]:
    """The arithmetic of a variant. Casts are not cached: a CUDA graph cannot keep the cache."""
    cached = variant.mode == "eager"
    return lambda: torch.autocast(
        device, torch.bfloat16, enabled=variant.bfloat16, cache_enabled=cached
    )


def make_step(
    network: AnimationGenerator, variant: Variant, inputs: tuple[Tensor, Tensor], device: str
) -> Step:
    """A step from the state after a clip's first frame, where the references differ.

    Args:
        network: in float32 on the CPU; it is copied.
        variant: how to run it.
        inputs: picture B 3 H W and structure B C H W; every frame has the same structure.
        device: where to run it.

    Returns:
        A call that gives the picture of the clip's second frame.
    """
    image, structure = (t.to(device).contiguous(memory_format=variant.layout) for t in inputs)
    network, arithmetic = place(network, variant, device), autocast(variant, device)
    with torch.no_grad(), arithmetic():
        state = network.step(network.start(image, structure), structure)[0]
    if variant.mode == "graph":
        return _graphed(network, arithmetic, state, structure)
    work = network.step
    if variant.mode == "compile":  # with Inductor's own CUDA graphs
        work = torch.compile(network.step, fullgraph=True, mode="reduce-overhead")

    def step() -> Tensor:
        with torch.no_grad(), arithmetic():
            if variant.mode == "compile":
                torch.compiler.cudagraph_mark_step_begin()
            picture: Tensor = work(state, structure)[1].image
        return picture

    for _ in range(WARM_UP if variant.mode == "compile" else 0):
        step()
    return step


def _graphed(
    network: AnimationGenerator,
    arithmetic: Callable[[], AbstractContextManager[object]],
    state: RolloutState,
    structure: Tensor,
) -> Step:
    """A step captured once and replayed, its structure and previous frame copied in each time."""
    held = structure.clone()
    given = [t.clone() for t in _tensors(state.previous[0])]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream), torch.no_grad(), arithmetic():
        for _ in range(WARM_UP):
            network.step(state, held)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.no_grad(), arithmetic(), torch.cuda.graph(graph):
        picture: Tensor = network.step(state, held)[1].image

    def step() -> Tensor:
        held.copy_(structure)
        # The same frame again and again, so that results can be compared.
        for kept, new in zip(_tensors(state.previous[0]), given, strict=True):
            kept.copy_(new)
        graph.replay()
        return picture

    return step


def _tensors(reference: Reference) -> list[Tensor]:
    """What changes from frame to frame of a reference; its structure is the same here."""
    found = [reference.image]
    for features in reference.features.values():
        found.append(features.features)
        if features.projection is not None:
            found.append(features.projection)
    return found


def measured_step(
    network: AnimationGenerator, variant: Variant, inputs: tuple[Tensor, Tensor]
) -> tuple[Step, int]:
    """A step on CUDA, and the peak of memory from nothing to its first picture, in bytes."""
    made: list[Step] = []

    def build() -> Tensor:
        made.append(make_step(network, variant, inputs, "cuda"))
        return made[0]()

    peak = peak_bytes(build, "cuda")
    return made[0], peak
