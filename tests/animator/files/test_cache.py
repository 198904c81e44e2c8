"""Inputs by URL: each fetched once, whole, from stores and web servers that fail."""

from __future__ import annotations

import gzip
import hashlib
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from animator.errors import AnimatorError, JobCancelled
from animator.files import download, remote
from animator.files.cache import cached_input
from animator.files.eviction import evict
from animator.settings import Settings
from tests.animator.conftest import mounted_disk
from tests.faulty_proxy import FaultyProxy, Plan
from tests.object_store import Bucket
from tests.web_server import File, Web, web_server

REPOSITORY = Path(__file__).parents[3]
HOLD = """
import sys
from animator.files.cache import cached_input
from animator.settings import Settings
with cached_input(sys.argv[1], Settings.from_environment()) as path:
    print(path.read_bytes()[:4].hex(), flush=True)
    sys.stdin.read()
"""
"""A process that uses an input until its standard input ends."""


@pytest.fixture
def web(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A web server that may be read from."""
    with web_server() as web:
        monkeypatch.setenv("ANIMATOR_ALLOWED_URLS", f"{web.url}/public")
        yield web


@pytest.fixture
def proxy(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    with FaultyProxy(s3.endpoint, Plan()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


def content(url: str, **changes: Any) -> bytes:
    """What is read at a URL."""
    with cached_input(url, replace(Settings.from_environment(), **changes)) as path:
        found = path.read_bytes()
        assert path.name == hashlib.sha256(found).hexdigest()
    return found


def code(use: Callable[[], object]) -> tuple[str, bool]:
    """The error of something that fails, and whether a retry can help."""
    with pytest.raises(AnimatorError) as caught:
        use()
    return caught.value.code, caught.value.retryable


def holding(url: str) -> subprocess.Popen[bytes]:
    """A process that uses an input, and prints its first bytes once it has it."""
    command = [sys.executable, "-c", HOLD, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY)


def kept(folder: str) -> list[str]:
    """The files in a folder of the cache."""
    return sorted(os.listdir(Settings.from_environment().cache_dir / "inputs" / folder))


# -- stores


def test_an_object_is_fetched_once_until_it_changes(s3: Bucket, proxy: FaultyProxy) -> None:
    url = f"{s3.url}/in/a.png"
    s3.put("in/a.png", b"one")
    assert [content(url) for _ in range(3)] == [b"one"] * 3
    assert sum(method == "GET" for method, _ in proxy.requests) == 1
    s3.put("in/a.png", b"two")
    assert [content(url) for _ in range(3)] == [b"two"] * 3
    assert sum(method == "GET" for method, _ in proxy.requests) == 2
    assert kept("parts") == []
    s3.client().delete_object(Bucket=s3.name, Key="in/a.png")
    assert code(lambda: content(url)) == ("no_such_file", False)


def test_equal_contents_are_kept_once(s3: Bucket) -> None:
    for name in ("a", "b"):
        s3.put(name, b"same")
        assert content(f"{s3.url}/{name}") == b"same"
    s3.put("empty", b"")
    assert content(f"{s3.url}/empty") == b""
    assert (len(kept("blobs")), len(kept("notes"))) == (2, 3)


def test_only_allowed_urls_are_fetched(s3: Bucket) -> None:
    for url in ("s3://other/a", f"{s3.url}/../other/a", "http://127.0.0.1/a", "memory://a/b"):
        assert code(partial(content, url)) == ("url_refused", False)


def test_a_large_object_comes_in_pieces_of_one_version(
    s3: Bucket, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PIECE_BYTES", 1000)
    old, new = secrets.token_bytes(5500), secrets.token_bytes(5500)
    s3.put("a", old)
    changed = False

    def change(method: str, path: str) -> bool:
        nonlocal changed
        if method == "GET" and not changed:
            changed = True
            s3.put("a", new)
        return False

    proxy.plan = Plan(share=1, matches=change)
    assert content(f"{s3.url}/a") == new
    gets = sum(method == "GET" for method, _ in proxy.requests)
    proxy.plan = Plan(seed=2, share=0.3)
    s3.put("a", old)
    assert content(f"{s3.url}/a") == old
    # Every piece that failed was asked for again, and no other.
    lost = sum(proxy.faults.values()) - proxy.faults["delay"]
    assert lost and sum(method == "GET" for method, _ in proxy.requests) - gets <= 6 + lost


# -- web servers


def test_a_file_of_a_web_server_is_fetched_once_until_it_changes(web: Web) -> None:
    url = f"{web.url}/public/a"
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    for file in (File(b"one"), File(b"two"), File(b"six", tag=False, modified=date)):
        before = web.count("GET")
        web.files["/public/a"] = file
        assert [content(url) for _ in range(3)] == [file.content] * 3
        assert web.count("GET") == before + 1
    # Without a word on the version, only those who wait for the same fetch may share it.
    web.files["/public/a"] = File(b"any", tag=False)
    before = web.count("GET")
    assert [content(url) for _ in range(3)] == [b"any"] * 3
    assert web.count("GET") == before + 3


@pytest.mark.parametrize(
    "file",
    [
        File(secrets.token_bytes(300_000), head=405),
        File(secrets.token_bytes(300_000), head=403),
        File(secrets.token_bytes(300_000), length=False),
        File(secrets.token_bytes(300_000), cuts=[100_000, 70_000, 0]),
        File(secrets.token_bytes(300_000), cuts=[100_000, 70_000], ranges=False),
        File(secrets.token_bytes(300_000), cuts=[100_000, 70_000], tag=False),
        File(secrets.token_bytes(300_000), cuts=[100_000, 70_000], length=False),
    ],
)
def test_odd_web_servers(web: Web, file: File) -> None:
    web.files["/public/a"] = file
    assert content(f"{web.url}/public/a") == file.content
    assert not file.cuts


def test_a_download_that_was_cut_goes_on_where_it_was(web: Web) -> None:
    web.files["/public/a"] = File(secrets.token_bytes(500_000), cuts=[300_000])
    assert content(f"{web.url}/public/a") == web.files["/public/a"].content
    assert ("GET", "/public/a", "bytes=262144-") in web.requests


def test_a_file_that_changes_while_it_is_fetched_is_of_one_piece(web: Web) -> None:
    old, new = File(bytes(400_000), cuts=[300_000]), File(secrets.token_bytes(400_000))
    web.files["/public/a"] = old
    with ThreadPoolExecutor(1) as pool:
        got = pool.submit(content, f"{web.url}/public/a")
        while old.cuts:
            time.sleep(0.001)
        web.files["/public/a"] = new
        assert got.result() in (old.content, new.content)


def test_redirections_are_followed_and_checked(web: Web, s3: Bucket) -> None:
    os.environ["ANIMATOR_ALLOWED_URLS"] += f",{web.url}/public"
    web.files["/public/a"] = web.files["/secret/a"] = File(b"found")
    web.redirects = {f"/public/{n}": f"{n - 1}" for n in range(1, 8)} | {"/public/0": "a"}
    web.redirects |= {
        "/public/absolute": f"{web.url}/public/a",
        "/public/out": "/secret/a",
        "/public/up": "../secret/a",
        "/public/quoted": "%2e%2e/secret/a",
        "/public/file": "file:///etc/passwd",
        "/public/store": f"{s3.url}/a",
        "/public/away": "http://169.254.169.254/latest/meta-data",
        "/public/loop": "loop",
    }
    for name in ("4", "absolute"):
        assert content(f"{web.url}/public/{name}") == b"found"
    for name in ("out", "up", "quoted", "file", "away"):
        assert code(partial(content, f"{web.url}/public/{name}")) == ("url_refused", False)
    for name in ("5", "7", "loop"):
        found = code(partial(content, f"{web.url}/public/{name}"))
        assert found == ("unreadable_file", False)
    assert not web.count("GET", "/secret") + web.count("HEAD", "/secret")


@pytest.mark.parametrize(
    ("status", "found"),
    [
        (404, ("no_such_file", False)),
        (410, ("no_such_file", False)),
        (401, ("unreadable_file", False)),
        (451, ("unreadable_file", False)),
        (429, ("storage_unavailable", True)),
        (500, ("storage_unavailable", True)),
        (503, ("storage_unavailable", True)),
    ],
)
def test_what_web_servers_refuse(
    web: Web, status: int, found: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TRIES", 2)
    web.files["/public/a"] = File(b"", head=status, status=status)
    assert code(lambda: content(f"{web.url}/public/a")) == found
    assert (kept("blobs"), kept("parts")) == ([], [])


def test_compressed_content_is_not_unpacked(web: Web) -> None:
    web.files["/public/bomb"] = File(gzip.compress(bytes(10_000_000)), encoding="gzip")
    assert code(lambda: content(f"{web.url}/public/bomb")) == ("unreadable_file", False)


@pytest.mark.parametrize("length", [True, False])
def test_too_large_a_file_is_not_fetched(web: Web, length: bool) -> None:
    web.files["/public/a"] = File(bytes(3_000_000), length=length)
    found = code(lambda: content(f"{web.url}/public/a", max_bytes=1_000_000))
    assert found == ("too_large", False)
    assert web.count("GET") == (0 if length else 1)
    assert (kept("blobs"), kept("parts")) == ([], [])
    assert content(f"{web.url}/public/a", max_bytes=3_000_000) == bytes(3_000_000)


# -- many at once


def test_threads_wait_for_one_fetch(web: Web) -> None:
    web.files["/public/a"] = File(secrets.token_bytes(200_000), seconds=0.05)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: content(f"{web.url}/public/a"), range(8)))
    assert set(found) == {web.files["/public/a"].content}
    assert web.count("GET") == 1


def test_processes_wait_for_one_fetch_and_keep_what_they_use(web: Web) -> None:
    web.files["/public/a"] = File(secrets.token_bytes(400_000), seconds=0.2)
    url = f"{web.url}/public/a"
    with ExitStack() as stack:
        processes = [stack.enter_context(holding(url)) for _ in range(3)]
        said = [process.stdout.readline() for process in processes if process.stdout]
        assert set(said) == {web.files["/public/a"].content[:4].hex().encode() + b"\n"}
        assert web.count("GET") == 1
        blobs = Settings.from_environment().cache_dir / "inputs" / "blobs"
        for process in processes:
            assert evict(blobs, 0) == 0  # those that live still use it
            process.kill()
            process.wait()
    assert evict(blobs, 0) == 1


def test_a_fetch_that_was_killed_is_begun_again(web: Web, tmp_path: Path) -> None:
    web.files["/public/a"] = File(secrets.token_bytes(2_000_000), seconds=0.5)
    url = f"{web.url}/public/a"
    process = holding(url)
    parts = Settings.from_environment().cache_dir / "inputs" / "parts"
    while not any(path.stat().st_size for path in parts.glob("*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert len(kept("parts")) == 1 and kept("blobs") == []
    web.files["/public/a"].seconds = 0
    web.files["/public/b"] = File(b"other")
    assert content(f"{web.url}/public/b") == b"other"
    assert kept("parts") == []  # it is in nobody's way
    assert content(url) == web.files["/public/a"].content


def test_a_fetch_is_stopped_when_the_job_is(web: Web) -> None:
    web.files["/public/a"] = File(secrets.token_bytes(2_000_000), seconds=60)
    url, settings = f"{web.url}/public/a", Settings.from_environment()
    asked = threading.Event()

    def cancel() -> None:
        if web.count("GET"):
            asked.set()
            raise JobCancelled

    def wait_then_cancel() -> None:
        if asked.is_set():
            raise JobCancelled

    def use(check: Callable[[], None]) -> None:
        with pytest.raises(JobCancelled), cached_input(url, settings, check):
            pass

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(use, wait_then_cancel), pool.submit(use, cancel)]:
            done.result()
    assert (kept("parts"), kept("blobs")) == ([], [])
    # Nobody waits for the thread that still hangs at the server.
    web.files["/public/a"] = File(b"now")
    assert content(url) == b"now"


# -- room


def test_what_was_not_used_for_longest_goes_first(s3: Bucket) -> None:
    size = 64 * 1024
    for name in "abcd":
        s3.put(name, name.encode() * size)
    urls = {name: f"{s3.url}/{name}" for name in "abcd"}
    room = 4 * size  # of which an eighth is left free
    for name in "abc":
        content(urls[name], cache_bytes=room)
        time.sleep(0.02)
    content(urls["a"], cache_bytes=room)
    content(urls["d"], cache_bytes=room)
    left = [hashlib.sha256(name.encode() * size).hexdigest() for name in "acd"]
    assert kept("blobs") == sorted(left)


def test_what_is_in_use_stays_however_little_room_there_is(s3: Bucket) -> None:
    for name in "abc":
        s3.put(name, name.encode() * 10_000)
    settings = replace(Settings.from_environment(), cache_bytes=1)
    with ExitStack() as stack:
        paths = [stack.enter_context(cached_input(f"{s3.url}/{name}", settings)) for name in "abac"]
        assert [path.read_bytes()[:1] for path in paths] == [b"a", b"b", b"a", b"c"]
    assert kept("blobs") == []


def test_eviction_does_not_take_what_is_being_used(web: Web) -> None:
    """Jobs come and go in a cache that holds hardly one file; none may see it vanish."""
    for number in range(4):
        web.files[f"/public/{number}"] = File(bytes([number]) * 50_000)

    def use(number: int) -> bool:
        url = f"{web.url}/public/{number % 4}"
        settings = replace(Settings.from_environment(), cache_bytes=60_000)
        with cached_input(url, settings) as path:
            time.sleep(0.002)
            return path.read_bytes() == bytes([number % 4]) * 50_000

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(120)))
    assert kept("parts") == []


def test_a_disk_smaller_than_the_cache_makes_room(s3: Bucket, tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 1024) as disk:
        settings = replace(Settings.from_environment(), state_dir=disk)
        for name in "abcd":
            s3.put(name, name.encode() * 400_000)
            with cached_input(f"{s3.url}/{name}", settings) as path:
                assert path.read_bytes() == name.encode() * 400_000
        s3.put("large", bytes(2_000_000))
        with pytest.raises(AnimatorError) as caught, cached_input(f"{s3.url}/large", settings):
            pass
        assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
        assert not list((disk / "cache" / "inputs" / "parts").iterdir())


def test_a_damaged_or_lost_copy_is_fetched_again(s3: Bucket) -> None:
    s3.put("a", b"whole")
    url = f"{s3.url}/a"
    content(url)
    folder = Settings.from_environment().cache_dir / "inputs"
    (blob,), (note,) = (folder / "blobs").iterdir(), (folder / "notes").iterdir()
    for damage in (
        lambda: blob.write_bytes(b"who"),
        lambda: blob.unlink(),
        lambda: note.write_bytes(b"{"),
        lambda: note.write_bytes(b'{"version": 1}'),
        lambda: note.write_bytes(b"\xff"),
    ):
        damage()
        assert content(url) == b"whole"
