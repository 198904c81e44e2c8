from __future__ import annotations

import pytest
import torch

from gfla.errors import GflaError
from gfla.models.attention import LocalAttention, set_attention_backend
from gfla.ops import backends
from gfla.ops.backends import available_backends, resolve_backend
from gfla.ops.local_attention import gather
from tests.helpers import COMPACT, NARROW, TOLERANCE, face_inputs, small_generator


@pytest.fixture(autouse=True)
def no_interpreter(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


def pretend_cuda(monkeypatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")


def test_all_are_listed_with_a_reason():
    listed = {backend.name: backend for backend in available_backends()}
    assert list(listed) == ["torch", "triton"]
    assert listed["torch"].usable
    assert all(backend.reason for backend in listed.values())


def test_torch_and_auto_run_on_a_cpu_and_triton_says_why_it_does_not(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_backend("torch", "cpu") == resolve_backend("auto", "cpu") == "torch"
    with pytest.raises(GflaError, match="CUDA") as caught:
        resolve_backend("triton", "cpu")
    assert caught.value.code == "backend_unavailable"
    network = torch.nn.Sequential(LocalAttention(2, 3, 2))
    with pytest.raises(GflaError, match="CUDA"):
        set_attention_backend(network, "triton")
    assert network[0].backend == "auto"


def test_auto_takes_triton_for_cuda_tensors_alone(monkeypatch):
    pytest.importorskip("triton")
    pretend_cuda(monkeypatch, (9, 0))
    assert resolve_backend("auto", "cuda") == resolve_backend("triton", "cuda") == "triton"
    assert resolve_backend("auto", "cpu") == resolve_backend("torch", "cuda") == "torch"
    with pytest.raises(GflaError, match="these are on 'cpu'"):
        resolve_backend("triton", "cpu")


@pytest.mark.parametrize("missing", [True, False])
def test_auto_does_without_triton_where_it_cannot_run(monkeypatch, missing):
    pretend_cuda(monkeypatch, (7, 0))
    if missing:
        monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    assert resolve_backend("auto", "cuda") == "torch"
    with pytest.raises(GflaError, match="not installed" if missing else "needs compute"):
        resolve_backend("triton", "cuda")


def test_unknown_names_are_refused():
    with pytest.raises(GflaError, match="auto, torch, triton") as caught:
        set_attention_backend(torch.nn.Identity(), "cudnn")
    assert caught.value.code == "invalid_config"
    values = torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, 2), torch.zeros(1, 1, 2, 2)
    with pytest.raises(GflaError):
        gather(*values, backend="cudnn")


def test_a_choice_reaches_every_block():
    generator = small_generator()
    set_attention_backend(generator, "torch")
    blocks = [m for m in generator.modules() if isinstance(m, LocalAttention)]
    assert len(blocks) == 4
    assert {block.backend for block in blocks} == {"torch"}


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_block_compiles_whole(kernel):
    torch.manual_seed(0)
    block = LocalAttention(8, kernel, 8)
    target, source = torch.randn(2, 2, 8, 9, 7)
    flow = 3 * torch.randn(2, 2, 9, 7)
    compiled = torch.compile(block, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        prepared = block.prepare(source)
        torch.testing.assert_close(
            compiled(target, prepared, flow),
            block(target, prepared, flow),
            **TOLERANCE[torch.float32],
        )


@pytest.mark.parametrize("config", [NARROW, COMPACT], ids=["published", "extended"])
def test_a_step_compiles_whole(config):
    generator = small_generator(config)
    image, structure, landmarks = face_inputs()
    compiled = torch.compile(generator.step, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        state = generator.start(image, structure.flip(3), landmarks)
        got_state, got = compiled(state, structure, landmarks)
        _, wanted = generator.step(state, structure, landmarks)
        _, second = generator.step(got_state, structure, landmarks)
    torch.testing.assert_close(got.image, wanted.image, atol=5e-5, rtol=1e-5)
    assert torch.isfinite(second.image).all()
