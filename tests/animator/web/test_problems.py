"""What the API answers when something is wrong."""

from __future__ import annotations

import httpx
import pytest

from animator.web.app import make_api
from tests.animator.web.served import served


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("OPTIONS", "/v1/files", "GET, HEAD, POST"),
        ("PUT", f"/v1/files/{'a' * 20}", "DELETE, GET, HEAD"),
        ("POST", f"/v1/files/{'a' * 20}/content", "GET, HEAD"),
        ("DELETE", "/v1/queue", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_that_are_right(method: str, path: str, allowed: str) -> None:
    with served(make_api()) as address:
        answer = httpx.request(method, address + path)
    assert answer.status_code == 405 and answer.headers["allow"] == allowed
    assert answer.json()["code"] == "method_not_allowed"
