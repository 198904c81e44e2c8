"""What Schemathesis sends in place of what no schema can say, so that right requests are taken."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis import Case, GenerationMode, HookContext
from schemathesis.transport.serialization import Binary

FOLDER = "SCHEMA_FILES"
"""Variable with the folder of the portrait and the driving video."""
NAMES = {"file": "source.png", "source": "source.png", "driving": "driving.mp4"}
"""Files by the names of their fields."""
LATE = "9999999"
"""A time that is behind any other."""

# Of bytes, the generator of wrong requests makes some that its own validator cannot look at.
schemathesis.openapi.format("binary", strategies.just("bytes"))


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Have a request that is to be taken bring real files, times in order, and a key of its own."""
    right = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if right and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = secrets.token_hex()  # once for each content
        case._record_starting_state()
    if not right or not isinstance(case.body, dict):
        return
    changed = dict(case.body)
    if isinstance(changed.get("end"), str):
        changed |= {"start": "0", "end": LATE}
    if case.media_type == "multipart/form-data":
        for field, name in NAMES.items():
            if field in changed:
                changed[field] = Binary(Path(os.environ[FOLDER], name).read_bytes())
    case.body = changed
    # Bytes are no text to a validator of JSON, and yet what is meant.
    case._record_starting_state()
