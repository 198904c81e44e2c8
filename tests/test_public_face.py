"""What `from animator import ...` gives, and that asking for it costs nothing more."""

from __future__ import annotations

import subprocess
import sys

import pytest

import animator


def test_public_names_are_those_of_their_modules():
    from animator.animation.pipeline import animate
    from animator.jobs.client import Client
    from animator.settings import Settings
    from animator.spec import JobSpec

    assert animator.animate is animate and animator.Client is Client
    assert animator.Settings is Settings and animator.JobSpec is JobSpec
    assert sorted(animator.__all__) == ["Client", "JobSpec", "Settings", "animate"]


def test_other_names_are_refused_as_usual():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = animator.nothing
    with pytest.raises(ImportError):
        exec("from animator import nothing")


def test_a_specification_is_made_without_the_networks():
    names = "Client, JobSpec, Settings"
    code = f"import sys; from animator import {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
