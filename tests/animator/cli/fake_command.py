"""The command `animator` with the fake pipeline: `python -m tests.animator.cli.fake_command ...`.

Its media files are plans for that pipeline, so a check of them finds nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from animator.checks.report import CheckReport
from tests import fake_pipeline

module = ModuleType("animator.animation.pipeline")
module.__dict__["animate"] = fake_pipeline.animate
sys.modules["animator.animation.pipeline"] = module


def check_job(*job: Any, **options: Any) -> CheckReport:
    return CheckReport()


checks = ModuleType("animator.checks.job")
checks.__dict__["check_job"] = check_job
sys.modules["animator.checks.job"] = checks

from animator.cli import main  # noqa: E402 - after the pipeline has been replaced

main()
