"""Write docs/openapi.json from the routes themselves. A test checks that the file is up to date."""

from __future__ import annotations

import json
from pathlib import Path

from animator.web.app import make_api

DOCUMENT = Path(__file__).parents[1] / "docs" / "openapi.json"


def document() -> str:
    """The API's description, as the server answers it at /openapi.json, in lines to compare."""
    return json.dumps(make_api().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
