"""A real server of the S3 interface for tests: moto's, in a process of its own on this machine.

The fixture `s3` of `tests/conftest.py` gives a test an empty bucket on it and an environment in
which the animator, and the workers that the test starts, use it:

    def test_something(s3: Bucket, settings: Settings) -> None:
        s3.put("in/portrait.png", b"...")
        Storage.open(f"{s3.url}/in", settings).read("portrait.png")

`settings` and `state_dir` clear the environment, so name them before `s3` or let `s3` ask for them,
which it does.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What a client of the server needs besides its address, `AWS_ENDPOINT_URL`."""
_START_SECONDS = 60


@dataclass(frozen=True)
class Bucket:
    """An empty bucket of a test's own.

    Attributes:
        name: of the bucket.
        url: `s3://NAME`.
        endpoint: of the server; the address behind a proxy, too.
    """

    name: str
    url: str
    endpoint: str

    def put(self, key: str, content: bytes) -> None:
        """Write an object, straight and not through the animator."""
        self.client().put_object(Bucket=self.name, Key=key, Body=content)

    def get(self, key: str) -> bytes:
        """The content of an object."""
        content: bytes = self.client().get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def keys(self) -> list[str]:
        """The objects that are visible, in order."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def unfinished(self) -> list[str]:
        """Objects of which parts are uploaded that are neither put together nor given up."""
        found = self.client().list_multipart_uploads(Bucket=self.name)
        return [entry["Key"] for entry in found.get("Uploads", ())]

    def client(self) -> Any:
        """boto3's client of the server itself, whatever proxy the environment names."""
        return _client(self.endpoint)


@contextmanager
def running_server() -> Iterator[str]:
    """A server that runs as long as the block; gives its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def make_bucket(endpoint: str, name: str) -> Bucket:
    """A new bucket on a server."""
    _client(endpoint).create_bucket(Bucket=name)
    return Bucket(name, f"s3://{name}", endpoint)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, f"the server ended with status {process.returncode}"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.1)


def _client(endpoint: str) -> Any:
    import boto3  # type: ignore[import-untyped]

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=ENVIRONMENT["AWS_DEFAULT_REGION"],
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
    )
