"""Fixtures of tests of manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from animator.dataset.manifest.reader import RowDefaults, read_manifest
from animator.settings import Settings
from tests.animator.dataset.manifests import Read, Rows


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    urls = ("s3://bucket/ok", "memory://manifests/ok")
    return Settings(tmp_path / "state", allowed_urls=urls)


@pytest.fixture
def read(tmp_path: Path, limits: Settings) -> Read:
    """Write a manifest and read it."""

    def read(content: str | bytes, name: str = "rows.csv", **defaults) -> Rows:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read_manifest(str(path), limits, RowDefaults(**defaults)))

    return read
