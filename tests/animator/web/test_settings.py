from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.web.settings import ServerSettings

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def process(tmp_path: Path) -> Settings:
    return Settings(tmp_path)


def test_everything_works_with_nothing_set(process: Settings) -> None:
    server = ServerSettings.from_environment(process, {})
    assert server == ServerSettings(process.state_dir / "server")
    assert (server.host, server.port, server.worker) == ("127.0.0.1", 8420, True)


def test_the_environment_is_read_and_a_command_goes_before_it(process: Settings) -> None:
    env = {
        "ANIMATOR_SERVE_HOST": "0.0.0.0",
        "ANIMATOR_SERVE_PORT": "9000",
        "ANIMATOR_SERVE_TOKEN_FILE": "/etc/tokens",
        "ANIMATOR_SERVE_WORKER": "no",
        "ANIMATOR_SERVE_HOSTS": "a.example, b.example",
        "ANIMATOR_SERVE_FOLDER": "/data",
        "ANIMATOR_SERVE_RATE": "",
    }
    server = ServerSettings.from_environment(process, env, port=1, host=None)
    assert server == ServerSettings(
        Path("/data"), "0.0.0.0", 1, Path("/etc/tokens"), False, hosts=("a.example", "b.example")
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "99999"), ("PORT", "x"), ("WORKER", "maybe"), ("ROOT_PATH", "no/slash"),
        ("ROOT_PATH", "/a/"), ("HOST", "a b"), ("HOSTS", "a.example/b"), ("RATE", "0"),
        ("STREAMS", "-1"), ("MAX_UPLOAD_BYTES", "0"), ("QUOTA_BYTES", "2GB"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_by_its_variable(process: Settings, name: str, value: str) -> None:
    with pytest.raises(AnimatorError, match=f"ANIMATOR_SERVE_{name}") as caught:
        ServerSettings.from_environment(process, {f"ANIMATOR_SERVE_{name}": value})
    assert caught.value.code == "invalid_option"


def test_every_variable_is_documented() -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `ANIMATOR_SERVE_(\w+)` \|", text, re.MULTILINE))
    assert listed == {item.name.upper() for item in fields(ServerSettings)}
