"""What a worker does with the memory of ended jobs."""

from __future__ import annotations

import platform

import pytest

from worker.memory import trim
from worker.presence import resident_bytes


def test_freed_memory_goes_back_to_the_system() -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("only glibc can be told to")
    kept = [bytes(2000) for _ in range(50_000)][::100]  # what is between them is free now
    before = resident_bytes()
    trim()
    assert before - resident_bytes() > 50e6
    assert len(kept) == 500
