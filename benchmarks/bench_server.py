"""What a server costs the job that it watches, how fast it answers, and what an upload takes.

    python benchmarks/bench_server.py --rounds 3

A real `animator serve` with a real worker and the default weights, on an embedded queue of its own.
The same job runs by turns unwatched, and with 200 open event streams and 20 clients that poll it;
clients are on the same machine and in the figures. Results go to benchmarks/results/server.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from animator.broker.embedded import EmbeddedRedis
from animator.samples.media import write_samples
from benchmarks.environment import describe

RESULTS = Path(__file__).parent / "results" / "server.json"
STREAMS, CLIENTS = 200, 20
GIB = 1024**3


class Server:
    """A server of its own.

    Args:
        folder: for its state.
    """

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "ANIMATOR_STATE_DIR": str(folder / "state")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "animator", "serve", "--port", "0"],
            stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stderr is not None
        found = re.search(r"http://([\d.]+):(\d+)/", self.process.stderr.readline())
        assert found is not None
        self.host, self.port = found[1], int(found[2])
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """One request; returns the JSON of its answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=300)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {content.decode()}")
        return json.loads(content)

    def memory(self, name: str) -> float:
        """A figure of the process's memory in MiB: VmRSS, or VmHWM for the most there was."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", text)
        assert found is not None
        return round(int(found[1]) / 1024, 1)

    def end(self) -> None:
        """End it, and wait for that."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """A server, with its queue."""
    server = Server(folder)
    try:
        yield server
    finally:
        server.end()
        EmbeddedRedis(folder / "state").stop()


class Crowd:
    """Open event streams and polling clients, in one thread.

    Args:
        server: that they look at.
        job: that they look at.
        pause: seconds between two questions of a client.
    """

    def __init__(self, server: Server, job: str, pause: float) -> None:
        self._server, self._job, self._pause = server, job, pause
        self.seconds: list[float] = []
        self.events = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Crowd:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._end.set()
        self._thread.join()

    async def _run(self) -> None:
        tasks = [asyncio.create_task(self._listen()) for _ in range(STREAMS)]
        tasks += [asyncio.create_task(self._poll(n)) for n in range(CLIENTS)]
        while not self._end.is_set():
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_connection(self._server.host, self._server.port)
        head = f"GET /v1/jobs/{self._job}/events HTTP/1.1\r\nHost: {self._server.host}\r\n\r\n"
        writer.write(head.encode())
        try:
            while received := await reader.read(1 << 16):
                self.events += received.count(b"event:")
        finally:
            writer.close()

    async def _poll(self, number: int) -> None:
        reader, writer = await asyncio.open_connection(self._server.host, self._server.port)
        request = f"GET /v1/jobs/{self._job} HTTP/1.1\r\nHost: {self._server.host}\r\n\r\n".encode()
        await asyncio.sleep(self._pause * number / CLIENTS)
        try:
            while True:
                began = time.perf_counter()
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200"), head
                found = re.search(rb"content-length: (\d+)", head)
                assert found is not None
                await reader.readexactly(int(found[1]))
                self.seconds.append(time.perf_counter() - began)
                await asyncio.sleep(self._pause)
        finally:
            writer.close()


def render(server: Server, files: dict[str, str], pause: float | None) -> dict[str, float]:
    """Run the job, watched if there is a pause; its speed, and that of the answers."""
    body = json.dumps({**files, "size": 256, "margin": 1.75})
    job = server.ask("POST", "/v1/jobs", body, Content_Type="application/json")["id"]
    while (server.ask("GET", f"/v1/jobs/{job}")["progress"] or {}).get("stage") != "generate":
        time.sleep(0.1)
    measured: dict[str, float] = {}
    if pause is None:
        record = wait(server, job)
    else:
        with Crowd(server, job, pause) as crowd:
            record = wait(server, job)
        measured = {
            "answers": len(crowd.seconds),
            "p50_ms": round(1000 * median(crowd.seconds), 1),
            "p95_ms": round(1000 * quantiles(crowd.seconds, n=20)[-1], 1),
            "events": crowd.events,
        }
    return {"fps": round(record["frames"] / record["timings"]["generate"], 2), **measured}


def wait(server: Server, job: str) -> Any:
    """The record of the job once it has ended."""
    while (record := server.ask("GET", f"/v1/jobs/{job}"))["state"] in ("queued", "running"):
        time.sleep(0.5)
    assert record["state"] == "succeeded", record
    return record


def send(server: Server, path: Path) -> dict[str, str]:
    """Upload a file, whole."""
    with path.open("rb") as file:
        return dict(
            server.ask(
                "POST", "/v1/files", file, X_File_Name=path.name,
                Content_Type="application/octet-stream", Content_Length=str(path.stat().st_size),
            )
        )  # fmt: skip


def padded(path: Path, size: int, folder: Path) -> Path:
    """A video with a box of nothing at its end, so that it has so many bytes."""
    content = path.read_bytes()
    large = folder / "large.mp4"
    with large.open("wb") as file:
        file.write(content)
        rest = size - len(content)
        file.write(struct.pack(">I4sQ", 1, b"free", rest))
        for _ in range(16, rest, 1 << 20):
            file.write(os.urandom(1 << 20)[: size - file.tell()])
    return large


def upload(server: Server, path: Path) -> dict[str, float]:
    """What it takes to send a large file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    before, began = server.memory("VmRSS"), time.monotonic()
    found = send(server, path)
    seconds = time.monotonic() - began
    assert found["sha256"] == digest.hexdigest()
    return {
        "bytes": path.stat().st_size,
        "seconds": round(seconds, 2),
        "rss_before_mib": before,
        "peak_mib": server.memory("VmHWM"),
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between two polls")
    parser.add_argument("--without-upload", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {"environment": describe(), "pause": options.pause}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, driving = write_samples(folder / "sample")
        with running(folder) as server:
            if not options.without_upload:
                results["upload"] = upload(server, padded(driving, GIB, folder))
                print(results["upload"])
            files = {"source": send(server, source)["id"], "driving": send(server, driving)["id"]}
            render(server, files, None)  # warms the worker
            rounds = []
            for _ in range(options.rounds):
                rounds.append([render(server, files, None), render(server, files, options.pause)])
                print(rounds[-1])
            results["memory_mib"] = server.memory("VmRSS")
    results["rounds"] = rounds
    results["ratio"] = round(median(watched["fps"] / alone["fps"] for alone, watched in rounds), 3)
    results["p95_ms"] = median(watched["p95_ms"] for _, watched in rounds)
    print(json.dumps({name: results[name] for name in ("ratio", "p95_ms", "memory_mib")}))
    RESULTS.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
