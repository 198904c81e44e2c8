"""What Schemathesis sends in place of files that it makes up: real ones, so that they are taken."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.transport.serialization import Binary

FOLDER = "SCHEMA_FILES"
"""Variable with the folder of the portrait and the driving video."""
NAMES = {"file": "source.png", "source": "source.png", "driving": "driving.mp4"}
"""Files by the names of their fields."""


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Put the files into a form that is to be taken."""
    right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if not right or case.media_type != "multipart/form-data" or not isinstance(case.body, dict):
        return
    for field, name in NAMES.items():
        if field in case.body:
            case.body[field] = Binary(Path(os.environ[FOLDER], name).read_bytes())
    # Bytes are no text to a validator of JSON, and yet what is meant.
    case._sync_validated_hashes()
