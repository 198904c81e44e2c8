"""The store of uploads: what is there, whose it is, and what is left of what broke off."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.web.files import uploads as module
from animator.web.files.uploads import Upload, UploadStore
from animator.web.settings import ServerSettings
from tests.animator.conftest import mounted_disk


def picture(shade: int = 128) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(content, format="PNG")
    return content.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    return UploadStore(Settings(tmp_path), ServerSettings(tmp_path / "server"))


def another(store: UploadStore) -> UploadStore:
    """The store as another server process has it."""
    return UploadStore(store.settings, store.server)


def send(store: UploadStore, content: bytes, owner: str = "ann", name: str = "a.png") -> Upload:
    incoming = store.begin(owner, name)
    incoming.write(content)
    return incoming.finish()


def age(path: Path, seconds: float) -> None:
    """Have a file, or all in a folder, be older than it is."""
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        then = each.stat().st_mtime - seconds
        os.utime(each, (then, then))


def refused(store: UploadStore, content: bytes, owner: str = "ann") -> str:
    with pytest.raises(AnimatorError) as info:
        send(store, content, owner)
    return info.value.code


@pytest.mark.slow
def test_an_upload_is_there_once_it_was_looked_at(store: UploadStore) -> None:
    incoming = store.begin("ann", "../b.png")
    incoming.write(picture())
    assert not store.list() and not another(store).list()
    with pytest.raises(AnimatorError):
        store.get(incoming.id)
    upload = incoming.finish()
    incoming.abandon()
    for each in (store, another(store)):
        assert each.get(upload.id) == upload and list(each.list()) == [upload]
    assert (upload.name, upload.owner, upload.bytes) == ("b.png", "ann", len(picture()))
    assert upload.path.read_bytes() == picture()
    assert upload.thumbnail.read_bytes().startswith(b"\xff\xd8")
    for path in (upload.path.parent, *upload.path.parent.iterdir()):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    store.remove(upload.id)
    store.remove(upload.id)
    assert not store.list() and not another(store).list() and not list(store.root.iterdir())


@pytest.mark.usefixtures("looks_here")
def test_owners_do_not_see_each_other(store: UploadStore) -> None:
    upload = send(store, picture())
    assert not store.list(lambda owner: owner == "bob")
    with pytest.raises(AnimatorError) as info:
        store.get(upload.id, lambda owner: owner == "bob")
    assert info.value.code == "no_such_upload"


@pytest.mark.parametrize("file_id", ["", "..", "../../../etc", "a" * 20, "A" * 20, "a\0b"])
def test_ids_that_are_none(store: UploadStore, file_id: str) -> None:
    with pytest.raises(AnimatorError) as info:
        store.get(file_id)
    assert info.value.code == "no_such_upload"
    store.remove(file_id)
    store.touch(file_id)
    assert store.root.is_dir()


@pytest.mark.usefixtures("looks_here")
def test_the_same_content_is_the_upload_that_is_there(store: UploadStore) -> None:
    upload = send(store, picture(), name="first.png")
    age(upload.path.parent, 3600)
    used = store.expires(upload)
    assert send(store, picture(), name="second.png") == upload
    assert store.expires(upload) > used
    assert len(list(store.root.iterdir())) == 1


def test_a_refused_file_is_gone(store: UploadStore) -> None:
    assert refused(store, b"<html>") == "unsupported_format"
    assert list(store.root.iterdir()) == []
    incoming = store.begin("ann", "a")
    incoming.abandon()
    for act in (incoming.finish, lambda: incoming.write(b"x")):
        with pytest.raises(AnimatorError):
            act()
    assert list(store.root.iterdir()) == []


def test_sizes_are_held(store: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COUNT_SECONDS", 0.0)
    server = replace(store.server, max_upload_bytes=1000, quota_bytes=2500)
    small = UploadStore(store.settings, server)
    assert refused(small, bytes(1001)) == "upload_too_large"
    # What is on its way counts, too, also in another process.
    first, second = small.begin("ann", "a"), another(small).begin("ann", "b")
    first.write(bytes(1000))
    second.write(bytes(1000))
    third = small.begin("ann", "c")
    third.write(bytes(500))
    with pytest.raises(AnimatorError) as info:
        third.write(b"x")
    assert info.value.code == "quota_exceeded"
    small.begin("bob", "a").abandon()
    first.abandon()
    second.abandon()
    small.begin("ann", "d").abandon()
    assert list(store.root.iterdir()) == []


@pytest.mark.usefixtures("looks_here")
def test_the_number_of_files_is_held(store: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_UPLOADS", 1)
    monkeypatch.setattr(module, "_COUNT_SECONDS", 0.0)
    send(store, picture())
    assert refused(store, picture(3)) == "quota_exceeded"
    store.begin("bob", "a").abandon()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", 300) as disk:
        store = UploadStore(Settings(tmp_path), ServerSettings(disk / "server"))
        assert refused(store, bytes(1_000_000)) == "disk_full"
        assert list(store.root.iterdir()) == []


def test_half_uploads_are_swept_once_nobody_is_at_them(store: UploadStore) -> None:
    ours = store.begin("ann", "a")
    ours.write(b"x")
    folder = store.root / ours.id
    store.sweep([])
    age(folder, 600)
    store.sweep([])
    assert folder.is_dir()
    age(folder, 3600)
    store.sweep([])
    assert not folder.exists()


def test_what_a_killed_server_leaves_is_swept(store: UploadStore) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from animator.settings import Settings\n"
        "from animator.web.settings import ServerSettings\n"
        "from animator.web.files.uploads import UploadStore\n"
        "root = Path(sys.argv[1])\n"
        "incoming = UploadStore(Settings(root), ServerSettings(root)).begin('ann', 'a')\n"
        "incoming.write(bytes(100)); print(incoming.id, flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(store.server.folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    folder = store.root / process.stdout.readline().strip()
    age(folder, 400)
    assert store.sweep([]) == 0 and (folder / "incoming").stat().st_size == 100
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not store.list()
    assert store.sweep([]) == 1 and not folder.exists()


@pytest.mark.usefixtures("looks_here")
def test_uploads_expire_when_they_were_not_used_for_long(store: UploadStore) -> None:
    upload = send(store, picture())
    age(upload.path.parent, 6 * 86400)
    assert store.sweep([]) == 0
    store.touch(upload.id)
    age(upload.path.parent, 6 * 86400)
    assert store.sweep([]) == 0
    age(upload.path.parent, 2 * 86400)
    assert store.sweep([str(upload.path)]) == 0
    assert store.sweep([upload.path.with_name("other"), Path("/etc/passwd")]) == 0
    assert store.sweep(["https://host/a.png"]) == 1
    assert not store.list() and list(store.root.iterdir()) == []


@pytest.mark.usefixtures("looks_here")
def test_damaged_and_foreign_things_are_no_uploads(store: UploadStore, tmp_path: Path) -> None:
    upload = send(store, picture())
    about = upload.path.with_name("about.json")
    values = json.loads(about.read_text())
    (store.root / "notes").mkdir()
    (store.root / ("b" * 20)).symlink_to(tmp_path)
    for text in ("", "[]", "{}", "[" * 100_000, json.dumps({**values, "facts": {}})):
        about.write_text(text)
        assert not another(store).list()
    outside = {**values, "facts": {**values["facts"], "format": "../../x"}}
    about.write_text(json.dumps(outside))
    assert not another(store).list()
    store.sweep([])
    assert (store.root / "notes").is_dir() and (store.root / ("b" * 20)).is_symlink()


@pytest.mark.usefixtures("looks_here")
def test_many_at_once_are_each_whole(store: UploadStore) -> None:
    made: list[Upload] = []

    def one(shade: int) -> None:
        made.append(send(store, picture(shade), owner=f"o{shade % 2}"))

    threads = [threading.Thread(target=one, args=(shade,)) for shade in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4 and {one.id for one in made} == {one.id for one in store.list()}
    assert [one.id for one in store.list()] == sorted((one.id for one in made), reverse=True)
    assert [one.id for one in store.list(before=store.list()[1].id, limit=1)] == [
        store.list()[2].id
    ]


def test_a_folder_that_may_not_be_written(
    store: UploadStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(AnimatorError) as info:
        store.begin("ann", "a")
    assert info.value.code == "storage_unavailable"
    assert str(store.root) not in info.value.message


@pytest.mark.usefixtures("looks_here")
def test_time_is_of_the_last_use(store: UploadStore) -> None:
    upload = send(store, picture())
    left = store.expires(upload).timestamp() - time.time()
    assert left == pytest.approx(7 * 86400, abs=60)
