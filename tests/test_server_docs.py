"""The page about the server: its examples are run, and its configurations are served with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).parents[1] / "docs" / "server.md"
ADDRESS = "http://127.0.0.1:8420"
"""Where the server of the examples is."""
FILES = {"source": "source.png", "driving": "driving.mp4"}


def examples(section: str, language: str) -> str:
    """All examples of a section in a language, as one program."""
    text = PAGE.read_text(encoding="utf-8")
    _, _, rest = text.partition(f"\n{section}\n")
    assert rest, section
    level = section.partition(" ")[0]
    body = re.split(rf"^{level} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(rf"^```{language}\n(.*?)^```", body, re.DOTALL | re.MULTILINE)
    assert found, f"{section} has no example in {language}"
    return "\n".join(found)


@contextmanager
def serving(*options: str, **variables: str) -> Iterator[str]:
    """`animator serve` on a free port, as a person would start it; its address."""
    command = [sys.executable, "-m", "animator", "serve", "--port", "0", *options]
    environment = {**os.environ, **variables}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+(?=/)", line)
        assert found, line + process.stderr.read()
        yield found[0]
    finally:
        process.terminate()
        try:
            _, rest = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        print(rest)  # noqa: T201 - shown if a test fails


@pytest.fixture
def folder(samples: tuple[Path, Path], tmp_path: Path) -> Path:
    """Where the examples are run: with the sample's files."""
    place = tmp_path / "examples"
    place.mkdir()
    for path in samples:
        shutil.copy(path, place)
    return place


def run(folder: Path, code: str, address: str, *program: str) -> str:
    """Run examples against a server; what they print."""
    assert ADDRESS in code
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*program, "-c", code.replace(ADDRESS, address)], cwd=folder, timeout=500,
        env={**os.environ, "PATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def shell() -> list[str]:
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this machine")
    return ["bash", "-euo", "pipefail"]


def is_video(path: Path) -> bool:
    return path.read_bytes()[4:8] == b"ftyp"


def is_picture(path: Path) -> bool:
    return path.read_bytes()[:3] == b"\xff\xd8\xff"


def test_the_examples_with_curl(state_dir: Path, folder: Path) -> None:
    program = shell()
    with serving() as address:
        printed = run(folder, examples("### With curl", "sh"), address, *program).split()
    assert is_video(folder / "result.mp4")
    result = (folder / "result.mp4").read_bytes()
    assert (folder / "beginning.bin").read_bytes() == result[:100]
    assert is_picture(folder / "poster.jpg") and is_picture(folder / "preview.jpg")
    events = (folder / "events.txt").read_text()
    assert "event: progress" in events and '"succeeded"' in events
    assert '"cancelled"' in (folder / "ended.txt").read_text()
    # What each line prints that shows a field
    assert printed[0] == "True"
    assert printed[-1] == "invalid_option" and "succeeded" in printed


def test_the_examples_with_python(state_dir: Path, folder: Path) -> None:
    with serving() as address:
        printed = run(folder, examples("### With Python", "python"), address, sys.executable)
    lines = printed.splitlines()
    assert any(line.startswith("running generate 9 9") for line in lines)
    assert any(line.startswith("succeeded") for line in lines)
    assert lines[-2:] == ["cancelled", "no_such_job"]
    assert is_video(folder / "python.mp4") and is_picture(folder / "python.jpg")


def test_the_examples_of_tokens(state_dir: Path, folder: Path) -> None:
    program = shell()
    code = examples("## Tokens", "sh")
    making, using, revoking = re.split(r"^(?=for who|sed )", code, flags=re.MULTILINE)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for step in (making, revoking):
        assert "animator" not in step or "--token-file tokens" in step
    subprocess.run(
        [*program, "-c", making], cwd=folder, env={**os.environ, "PATH": path}, check=True
    )
    assert (folder / "tokens").stat().st_mode & 0o777 == 0o600
    tokens = {
        name: (folder / f"{name}.token").read_text().strip()
        for name in ("studio-a", "studio-b", "operator")
    }
    assert not any(token in (folder / "tokens").read_text() for token in tokens.values())
    with serving("--no-worker", "--token-file", str(folder / "tokens")) as address:
        run(folder, using, address, *program)
        job = _post(address, tokens["studio-a"], folder)
        seen = {name: _status(address, token, job) for name, token in tokens.items()}
        assert seen == {"studio-a": 200, "studio-b": 404, "operator": 200}
        assert _status(address, "anim_" + "x" * 43, job) == 401
        in_address = f"{address}/v1/jobs?token={tokens['operator']}"
        assert httpx.get(in_address, timeout=20).json()["code"] == "bad_request"
        subprocess.run([*program, "-c", revoking], cwd=folder, check=True)
        time.sleep(1.5)  # the server looks at the file once a second
        assert _status(address, tokens["studio-b"], job) == 401
        assert _status(address, tokens["studio-a"], job) == 200


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _status(address: str, token: str, path: str) -> int:
    return httpx.get(f"{address}{path}", headers=_bearer(token), timeout=20).status_code


def _post(address: str, token: str, folder: Path) -> str:
    """Submit a job, which nobody renders; its path."""
    files = {name: (folder / path).read_bytes() for name, path in FILES.items()}
    answer = httpx.post(f"{address}/v1/jobs", files=files, headers=_bearer(token), timeout=120)
    assert answer.status_code == 202, answer.text
    return str(answer.headers["Location"])
