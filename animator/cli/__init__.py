"""The command `animator`."""

from __future__ import annotations

from animator.cli.app import app, main

__all__ = ["app", "main"]
