"""The API's description: the one that is kept is the one that is served, and it is whole."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from animator.errors import CODES
from animator.spec import OPTIONS
from animator.web.problems import MEDIA_TYPE

REPOSITORY = Path(__file__).parents[3]
VERBS = ("get", "put", "post", "delete", "patch", "head")


def load_generator() -> ModuleType:
    path = REPOSITORY / "scripts" / "generate_openapi.py"
    spec = importlib.util.spec_from_file_location("generate_openapi", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = load_generator()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads(GENERATOR.DOCUMENT.read_text(encoding="utf-8"))
    return kept


def test_the_kept_description_is_up_to_date() -> None:
    kept = GENERATOR.DOCUMENT.read_text(encoding="utf-8")
    assert kept == GENERATOR.document(), "run: python scripts/generate_openapi.py"


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{verb.upper()} {path}": item[verb]
        for path, item in document["paths"].items()
        for verb in VERBS
        if verb in item
    }


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for target in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        found: Any = document
        for step in target.split("/"):
            found = found[step]


def test_every_operation_is_told_with_its_errors(document: dict[str, Any]) -> None:
    found = operations(document)
    ids = [operation["operationId"] for operation in found.values()]
    assert len(set(ids)) == len(ids) >= 20
    for name, operation in found.items():
        assert operation["summary"] and operation["tags"], name
        for status, told in operation["responses"].items():
            if status < "400":
                continue
            assert MEDIA_TYPE in told["content"], name
            codes = re.findall(r"`(\w+)`", told["description"])
            # 416 says by itself what is wrong.
            assert status == "416" or (codes and set(codes) <= set(CODES)), name


def test_a_new_job_has_every_option(document: dict[str, Any]) -> None:
    body = operations(document)["POST /v1/jobs"]["requestBody"]["content"]
    offered = body["application/json"]["schema"]["properties"]
    assert offered.keys() == body["multipart/form-data"]["schema"]["properties"].keys()
    # Where a video goes is the server's affair, and it takes no files of joints.
    assert set(OPTIONS) - {"output", "source_pose"} <= set(offered)
    assert "source_pose" not in offered
    assert "output" not in offered and "path" not in json.dumps(offered["source"]).lower()
