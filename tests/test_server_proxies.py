"""The server behind nginx and Caddy, with the configurations of the page about it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from animator.web.access.tokens import add_token
from tests.test_server_docs import ADDRESS, PAGE, serving
from tests.worker.test_metrics import free_port
from tests.worker.workers import until

pytestmark = pytest.mark.slow

NAME = "animator.example"
LARGE = 50 * 1024**2
Proxy = Callable[..., "httpx.Client"]


def configuration(language: str, holding: str) -> str:
    """A configuration of the page, by something that it holds."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    (config,) = (text for text in found if holding in text)
    return str(config)


def needed(program: str) -> str:
    found = shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if found is None:
        pytest.skip(f"there is no {program} on this machine")
    return found


@contextmanager
def proxy(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A proxy that answers at a port while the block runs."""
    environment = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: process.poll() is not None or _listens(port))
        yield
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
        print(log)  # noqa: T201 - shown if a test fails


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def nginx(folder: Path, address: str, root_path: str) -> Iterator[str]:
    """nginx over TLS with the page's configuration; its address."""
    program, openssl = needed("nginx"), needed("openssl")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", f"/CN={NAME}", "-days", "2", "-newkey", "rsa:2048", "-nodes"]
    subprocess.run(
        [openssl, "req", "-x509", *subject, "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    config = configuration("nginx", "ssl_certificate")
    if root_path:
        whole = re.search(r"    location / \{.*?\n    \}\n", config, re.DOTALL)
        assert whole is not None
        config = config.replace(whole[0], configuration("nginx", "/animator/"))
    # What is of the machine, not of the server
    port, plain = free_port(), free_port()
    assert config.count("listen 443") == config.count("listen 80") == 1
    config = re.sub(r"listen \[::\]:.*", "", config)
    config = config.replace("listen 443", f"listen 127.0.0.1:{port}")
    config = config.replace("listen 80", f"listen 127.0.0.1:{plain}")
    config = re.sub(r"(ssl_certificate +)\S+;", rf"\1{certificate};", config)
    config = re.sub(r"(ssl_certificate_key +)\S+;", rf"\1{key};", config)
    assert ADDRESS in config
    (folder / "animator.conf").write_text(config.replace(ADDRESS, address))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user} daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths} include {folder}/animator.conf; }}\n"
    )
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0 and "[warn]" not in checked.stderr, checked.stderr
    with proxy(command, port, folder):
        yield f"https://127.0.0.1:{port}"


@contextmanager
def caddy(folder: Path, address: str, root_path: str) -> Iterator[str]:
    """Caddy with the page's configuration, without the certificate that it would ask for."""
    program, port = needed("caddy"), free_port()
    config = configuration("caddyfile", "handle_path" if root_path else "animator.example {")
    written = folder / "Caddyfile"
    written.write_text(config)
    checked = subprocess.run(
        [program, "validate", "--adapter", "caddyfile", "--config", written],
        env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    config = re.sub(r"^\S+ \{", f"http://:{port} {{", config)
    host = ADDRESS.removeprefix("http://")
    assert host in config
    config = config.replace(host, address.removeprefix("http://"))
    written.write_text(f"{{\n\tadmin off\n}}\n{config}")
    command = [program, "run", "--adapter", "caddyfile", "--config", str(written)]
    with proxy(command, port, folder):
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("root_path", ["", "/animator"])
@pytest.mark.parametrize("server", [nginx, caddy])
def test_a_proxy(
    server: Callable[..., Iterator[str]], root_path: str, settings: object,
    samples: tuple[Path, Path], tmp_path: Path,
) -> None:  # fmt: skip
    token = add_token(tmp_path / "tokens", "studio")
    options = ["--no-worker", "--token-file", str(tmp_path / "tokens"), "--root-path", root_path]
    with (
        serving(*options, ANIMATOR_SERVE_HOSTS=f"{NAME},www.example") as inner,
        server(tmp_path, inner.removesuffix(root_path), root_path) as outer,
    ):
        port = outer.rpartition(":")[2]
        headers = {"Authorization": f"Bearer {token}", "Host": f"{NAME}:{port}"}
        with httpx.Client(base_url=outer, headers=headers, verify=False, timeout=60) as client:
            assert client.get(f"{root_path}/livez").json() == {"status": "alive"}
            _check_names(client, root_path, outer)
            sent = _check_uploads(client, root_path, samples, tmp_path)
            _check_events(client, root_path, sent)


def _check_names(client: httpx.Client, root_path: str, outer: str) -> None:
    """Host and scheme come through: the one is checked, the other makes cookies secure."""
    stranger = client.get(f"{root_path}/livez", headers={"Host": "other.example"})
    assert stranger.json()["code"] == "not_allowed"
    headers = {"Host": client.headers["Host"], "Accept": "text/html"}
    with httpx.Client(base_url=outer, headers=headers, verify=False, timeout=20) as browser:
        page = browser.get(f"{root_path}/")
        login = page.headers["Location"]
        assert page.status_code == 303 and login.startswith(f"{root_path}/login")
        form = browser.get(login)
    assert form.status_code == 200
    cookie = form.headers["Set-Cookie"]
    assert f"Path={root_path or '/'};" in cookie
    assert ("Secure" in cookie) == outer.startswith("https")
    links = re.findall(r'(?:href|src|action)="(/[^"]*)"', form.text)
    assert links and all(link.startswith(f"{root_path}/") for link in links)
    for link in links:
        if "/static/" in link:
            assert client.get(link).status_code == 200


def _check_uploads(
    client: httpx.Client, root_path: str, samples: tuple[Path, Path], folder: Path
) -> dict[str, str]:
    """A large file goes through; one that is too large is refused by the server's own words."""
    source, driving = samples
    large = folder / "large.mp4"
    # An MP4 may end with a box that is skipped.
    room = LARGE.to_bytes(4, "big") + b"free" + bytes(LARGE - 8)
    large.write_bytes(driving.read_bytes() + room)
    sent = {}
    for name, path in (("source", source), ("driving", large)):
        with path.open("rb") as file:
            answer = client.post(f"{root_path}/v1/files", files={"file": file})
        assert answer.status_code == 201, answer.text
        assert answer.json()["bytes"] == path.stat().st_size
        assert answer.json()["links"]["self"].startswith(f"{root_path}/v1/files/")
        sent[name] = answer.json()["id"]
    refused = client.post(f"{root_path}/v1/jobs", content=bytes(2 * 1024**2))
    assert refused.json()["code"] in ("bad_request", "upload_too_large")
    return sent


def _check_events(client: httpx.Client, root_path: str, sent: dict[str, str]) -> None:
    """Events come when they happen, not when a buffer is full."""
    job = client.post(f"{root_path}/v1/jobs", json=sent).json()
    came: list[tuple[float, str]] = []
    first = threading.Event()

    def listen() -> None:
        with client.stream("GET", job["links"]["events"]) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    came.append((time.monotonic(), json.loads(line[6:])["state"]))
                    first.set()

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    assert first.wait(10), "nothing came while the stream was open"
    cancelled = time.monotonic()
    assert client.post(job["links"]["cancel"]).json()["state"] == "cancelled"
    thread.join(10)
    assert not thread.is_alive()
    assert [state for _, state in came] == ["queued", "cancelled"]
    assert came[-1][0] - cancelled < 3
