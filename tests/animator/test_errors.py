from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

from animator.errors import CODES, AnimatorError, JobCancelled


def test_an_error_carries_code_sentence_and_whether_a_retry_can_help() -> None:
    error = AnimatorError("disk_full", "The disk is full.", retryable=True)
    assert (error.code, error.message, error.retryable) == ("disk_full", "The disk is full.", True)
    assert str(error) == "The disk is full."
    assert AnimatorError("no_face", "No face.").retryable is False


def test_unknown_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown error code 'nope'"):
        AnimatorError("nope", "A sentence.")


def test_an_error_survives_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(AnimatorError("no_face", "No face.", retryable=True)))
    assert (error.code, error.message, error.retryable) == ("no_face", "No face.", True)


def test_a_broad_except_does_not_swallow_a_cancellation() -> None:
    assert not issubclass(JobCancelled, Exception)


def test_the_documentation_lists_every_code_with_its_meaning() -> None:
    text = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", text, flags=re.MULTILINE)
    assert dict(rows) == CODES
