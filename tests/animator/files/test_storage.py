"""Files on this machine, in memory, and in a real S3 store that fails as stores do."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from animator.errors import AnimatorError
from animator.files import remote, storage
from animator.files.storage import Storage
from animator.settings import Settings
from tests.animator.conftest import mounted_disk
from tests.faulty_proxy import FAULTS, Fault, FaultyProxy, Plan
from tests.object_store import Bucket, free_port
from tests.web_server import File, web_server

PARTS = 5 * 1024**2
"""The smallest part of an upload that S3 allows."""


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, s3: Bucket) -> Storage:
    """A folder of each kind; all behave alike."""
    urls = {
        "local": str(tmp_path / "files"),
        "memory": f"memory://{secrets.token_hex(4)}",
        "s3": f"{s3.url}/some/folder",
    }
    url = urls[request.param]
    settings = replace(Settings.from_environment(), allowed_urls=(s3.url, urls["memory"]))
    return Storage.open(url, settings)


@pytest.fixture
def proxy(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """Stands between the animator and the store."""
    with FaultyProxy(s3.endpoint, Plan()) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def remote_store(s3: Bucket, proxy: FaultyProxy) -> Storage:
    return Storage.open(f"{s3.url}/folder", Settings.from_environment())


def test_files_are_written_read_listed_and_removed(store: Storage, tmp_path: Path) -> None:
    assert store.names() == {} == store.names("sub")
    assert store.info("sub/a.txt") is None
    store.write("sub/a.txt", b"one")
    store.write("b.txt", b"")
    (tmp_path / "c").write_bytes(b"12345")
    store.put("sub/c.txt", tmp_path / "c")
    assert (store.read("sub/a.txt"), store.read("b.txt")) == (b"one", b"")
    assert store.read_range("sub/c.txt", 1, 3) == b"23"
    assert store.names() == {"b.txt": 0}
    assert store.names("sub") == {"sub/a.txt": 3, "sub/c.txt": 5}
    info = store.info("sub/c.txt")
    assert info is not None and info.size == 5 and info.modified
    assert store.exists("b.txt") and not store.exists("sub")
    store.get("sub/c.txt", tmp_path / "d")
    assert (tmp_path / "d").read_bytes() == b"12345"
    store.delete(["sub/a.txt", "sub/c.txt", "not there", "sub/neither"])
    store.delete(["b.txt"])
    store.delete([])
    store.remove_folder("sub")
    assert store.names("sub") == {} == store.names()


def test_what_replaces_a_file_has_another_version(store: Storage) -> None:
    store.write("a", b"one")
    before = store.info("a")
    assert before == store.info("a")
    store.write("a", b"two")
    after = store.info("a")
    assert before is not None and after is not None and before.version != after.version


def test_what_is_not_there(store: Storage, tmp_path: Path) -> None:
    for read in (
        lambda: store.read("none"),
        lambda: store.read_range("none", 0, 1),
        lambda: store.get("none", tmp_path / "got"),
    ):
        with pytest.raises(AnimatorError) as caught:
            read()
        assert (caught.value.code, caught.value.retryable) == ("no_such_file", False)
    assert not list(tmp_path.glob("*got*")) + list(tmp_path.glob(".*"))


def test_names_that_lead_out(store: Storage, tmp_path: Path) -> None:
    for name in ("../a", "/a", "a/../../b", "%2e%2e/a", "a\\b", ""):
        for use in (
            lambda name=name: store.read(name),
            lambda name=name: store.write(name, b""),
            lambda name=name: store.info(name),
            lambda name=name: store.delete([name]),
            lambda name=name: store.get(name, tmp_path / "got"),
        ):
            with pytest.raises(AnimatorError) as caught:
                use()
            assert caught.value.code == "invalid_option"


def test_letters_that_mean_something_elsewhere(store: Storage) -> None:
    names = ["a*b", "a?b", "[a]", "a b", "ü", "a#b", "a%25b", "-a", "a+b"]
    for name in names:
        store.write(name, name.encode())
    assert sorted(store.names()) == sorted(names)
    store.delete(["a*b", "[a]"])
    assert {name: store.read(name) for name in store.names()} == {
        name: name.encode() for name in names if name not in ("a*b", "[a]")
    }


def test_a_folder_may_be_named_by_a_file_url(tmp_path: Path) -> None:
    store = Storage.open(f"file://{tmp_path}", Settings(tmp_path))
    assert store.local == tmp_path
    store.write("a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_urls_are_checked(tmp_path: Path) -> None:
    with pytest.raises(AnimatorError) as caught:
        Storage.open("s3://other/folder", Settings(tmp_path, allowed_urls=("s3://bucket",)))
    assert caught.value.code == "url_refused"
    with pytest.raises(AnimatorError) as caught:
        Storage.open("nosuch://x", Settings(tmp_path, allowed_urls=("nosuch://x",)))
    assert caught.value.code == "invalid_option"


def test_a_disk_that_is_full(s3: Bucket, tmp_path: Path) -> None:
    s3.put("large", bytes(2 * 1024**2))
    bucket = Storage.open(s3.url, Settings.from_environment())
    with mounted_disk(tmp_path / "disk", 1024) as disk:
        store = Storage.open(str(disk), Settings(tmp_path))
        for write in (
            lambda: store.write("large", bytes(2 * 1024**2)),
            lambda: bucket.get("large", disk / "large"),
        ):
            with pytest.raises(AnimatorError) as caught:
                write()
            assert (caught.value.code, caught.value.retryable) == ("disk_full", True)
        assert not list(disk.iterdir())


def test_web_servers_are_read_and_no_more(s3: Bucket, tmp_path: Path) -> None:
    with web_server() as web:
        settings = Settings(tmp_path, allowed_urls=(f"{web.url}/public",))
        web.files["/public/a"] = File(b"0123456789", cuts=[3, 4, 5])
        web.files["/public/whole"] = File(b"0123456789", ranges=False, tag=False)
        web.redirects["/public/out"] = "/a"
        store = Storage.open(f"{web.url}/public", settings)
        for name in ("a", "whole"):
            assert store.read(name) == b"0123456789"
            assert store.read_range(name, 2, 5) == b"234"
            assert store.read_range(name, 8, 50) == b"89"
            assert store.read_range(name, 50, 60) == store.read_range(name, 3, 3) == b""
            store.get(name, tmp_path / name)
            assert (tmp_path / name).read_bytes() == b"0123456789"
        info, unknown = store.info("a"), store.info("whole")
        assert info is not None and info.size == 10 and info.version
        assert unknown is not None and unknown.version == ""
        assert store.info("none") is None
        (tmp_path / "c").write_bytes(b"1")
        for code, use in (
            ("url_refused", lambda: store.read("out")),
            ("no_such_file", lambda: store.read("none")),
            ("output_not_writable", lambda: store.write("b", b"1")),
            ("output_not_writable", lambda: store.put("b", tmp_path / "c")),
            ("output_not_writable", lambda: store.delete(["a", "b"])),
            ("output_not_writable", lambda: store.names()),
        ):
            with pytest.raises(AnimatorError) as caught:
                use()
            assert caught.value.code == code


# -- a store that fails


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_overcome(
    fault: Fault, remote_store: Storage, proxy: FaultyProxy, tmp_path: Path
) -> None:
    content = secrets.token_bytes(300_000)
    (tmp_path / "file").write_bytes(content)
    uses = (
        lambda: remote_store.write("a", content),
        lambda: remote_store.put("b", tmp_path / "file"),
        lambda: remote_store.read("a") == content,
        lambda: remote_store.read_range("b", 5, 9) == content[5:9],
        lambda: remote_store.get("b", tmp_path / "got"),
        lambda: remote_store.names() == {"a": len(content), "b": len(content)},
        lambda: remote_store.delete(["a", "b"]),
    )
    for use in uses:
        proxy.plan.script = [fault]
        assert use() in (None, True)
        assert not proxy.plan.script
    assert (tmp_path / "got").read_bytes() == content
    assert proxy.faults[fault] == len(uses)
    assert remote_store.names() == {}


def test_half_of_a_file_is_never_visible(
    remote_store: Storage, proxy: FaultyProxy, s3: Bucket
) -> None:
    contents = [secrets.token_bytes(1) * 400_000 for _ in range(8)]
    seen: set[bytes] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if s3.keys():
                seen.add(s3.get("folder/a"))

    proxy.plan = Plan(seed=5, share=0.5, matches=lambda method, path: method == "PUT")
    watcher = threading.Thread(target=watch)
    watcher.start()
    for content in contents:
        remote_store.write("a", content)
    done.set()
    watcher.join()
    assert proxy.faults["cut_request"] and seen and seen <= set(contents)


def test_a_large_upload_goes_on_at_the_part_that_failed(
    remote_store: Storage,
    proxy: FaultyProxy,
    s3: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "_PART_BYTES", PARTS)
    content = secrets.token_bytes(3 * PARTS + 1)
    (tmp_path / "file").write_bytes(content)
    proxy.plan = Plan(
        script=["cut_request", "lost_answer"],
        matches=lambda method, path: "partNumber=2" in path,
    )
    remote_store.put("a", tmp_path / "file")
    assert s3.get("folder/a") == content
    parts = [path for method, path in proxy.requests if "partNumber" in path]
    assert len(parts) == 4 + 2
    assert s3.unfinished() == []


def test_a_large_upload_that_fails_is_given_up(
    remote_store: Storage,
    proxy: FaultyProxy,
    s3: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage, "_PART_BYTES", PARTS)
    monkeypatch.setattr(remote, "TRIES", 2)
    (tmp_path / "file").write_bytes(bytes(3 * PARTS))
    proxy.plan = Plan(
        share=1, faults=("error",), matches=lambda method, path: "partNumber=3" in path
    )
    for write in (
        lambda: remote_store.put("a", tmp_path / "file"),
        lambda: remote_store.write("a", bytes(3 * PARTS)),
    ):
        with pytest.raises(AnimatorError) as caught:
            write()
        assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)
        assert s3.keys() == [] == s3.unfinished()


def test_a_store_that_keeps_failing(
    remote_store: Storage, proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TRIES", 2)
    proxy.plan = Plan(share=1, faults=("error", "refuse"))
    for use in (
        lambda: remote_store.write("a", b"1"),
        lambda: remote_store.read("a"),
        lambda: remote_store.info("a"),
        lambda: remote_store.names(),
        lambda: remote_store.get("a", tmp_path / "got"),
    ):
        with pytest.raises(AnimatorError) as caught:
            use()
        assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)
    assert not list(tmp_path.glob("*got*"))


def test_a_store_that_is_not_there(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "TRIES", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AnimatorError) as caught:
        Storage.open(s3.url, Settings.from_environment()).read("a")
    assert (caught.value.code, caught.value.retryable) == ("storage_unavailable", True)


def test_a_bucket_that_is_not_there(s3: Bucket, tmp_path: Path) -> None:
    store = Storage.open(
        "s3://no-such-bucket-here", Settings(tmp_path, storage="s3://no-such-bucket-here")
    )
    for code, use in (
        ("no_such_file", lambda: store.read("a")),
        ("output_not_writable", lambda: store.write("a", b"1")),
    ):
        with pytest.raises(AnimatorError) as caught:
            use()
        assert (caught.value.code, caught.value.retryable) == (code, False)


def test_many_threads_share_a_store(s3: Bucket) -> None:
    def use(number: int) -> bytes:
        store = Storage.open(f"{s3.url}/{number % 3}", Settings.from_environment())
        store.write(f"{number}", str(number).encode())
        return store.read(f"{number}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(40))) == [str(number).encode() for number in range(40)]
    settings = Settings.from_environment()
    assert remote.file_system(s3.url, settings) is remote.file_system(s3.url, settings)


def test_what_takes_long_is_watched() -> None:
    asked = threading.Event()

    def stop() -> None:
        asked.set()
        raise KeyError("stop")

    with pytest.raises(KeyError):
        remote.polled(lambda: threading.Event().wait(60), stop)
    asked.clear()
    assert remote.polled(lambda: asked.wait(60), stop, finish=True)
    with pytest.raises(ZeroDivisionError):
        remote.polled(lambda: 1 // 0, stop)
