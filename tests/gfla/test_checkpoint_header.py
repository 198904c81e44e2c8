from __future__ import annotations

import pytest

from gfla.checkpoint import save
from gfla.checkpoint_header import read_header
from gfla.errors import GflaError
from tests.helpers import NARROW, small_generator


def test_a_header_tells_kind_and_size_without_the_tensors(tmp_path):
    path = tmp_path / "a.safetensors"
    generator = small_generator(NARROW)
    save(path, generator, {"name": "x"})
    header = read_header(path)
    assert (header.config, header.info) == (NARROW, {"name": "x"})
    assert header.parameters == sum(p.numel() for p in generator.parameters())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(GflaError, match="cannot read"):
        read_header(path)
