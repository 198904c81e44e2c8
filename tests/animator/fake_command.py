"""The command `animator` with the fake pipeline: `python -m tests.animator.fake_command ...`."""

from __future__ import annotations

import sys
from types import ModuleType

from tests import fake_pipeline

module = ModuleType("animator.pipeline")
module.__dict__["animate"] = fake_pipeline.animate
sys.modules["animator.pipeline"] = module

from animator.cli import main  # noqa: E402 - after the pipeline has been replaced

main()
