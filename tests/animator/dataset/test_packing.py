"""Shards become complete, whatever happens on the way."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from animator.dataset.claims import Claims
from animator.dataset.index import write_index
from animator.dataset.options import RunOptions
from animator.dataset.packing import pack
from animator.dataset.rows import SCHEMA
from animator.dataset.run_folder import RunFolder, Shard
from animator.dataset.shard_book import ShardBook
from animator.dataset.tars import TarWriter, members, whole_file
from animator.errors import AnimatorError
from animator.files.storage import Storage
from animator.jobs.store import JobStore
from tests.animator.dataset.made_runs import begin, fail, files, make, samples, storage_at

NOW = "2026-01-01T00:00:00.000+00:00"
OPTIONS = RunOptions(shard_size=4, extras=("landmarks",), filters=("identity>=0.4",))


def made(folder: Path | Storage, options: RunOptions = OPTIONS) -> tuple[RunFolder, Shard]:
    """A run with a shard of which two samples are made, one is poor, and one has failed."""
    run = begin(folder, samples(4), options)
    (shard,) = run.shards(samples(4))
    for sample in (shard.samples[2], shard.samples[0]):
        make(run, shard, sample)
    make(run, shard, shard.samples[1], quality={"identity": 0.2})
    fail(run, shard, shard.samples[3])
    return run, shard


def go_on(run: RunFolder, store: JobStore) -> None:
    """What the next call does with shards whose samples have all ended."""
    with Claims(store, run.info.run) as claims:
        book = ShardBook(
            run, samples(4), claims, retry_failed=False, on_complete=lambda shard: None
        )
        while not book.through:
            assert not book.open_next()
            book.look()
        book.close()
        write_index(run, run.shards(samples(4)))
    run.storage.delete(["index.parquet", "rejected.parquet"])


def tar_names(run: RunFolder, name: str = "shards/00000.tar") -> list[str]:
    with tarfile.open(run.storage.location(name)) as tar:
        return tar.getnames()


def test_rows_from_before_a_measure_are_read(tmp_path: Path) -> None:
    run, shard = made(tmp_path)
    pack(run, shard, began=NOW)
    path = tmp_path / "shards" / "00000.parquet"
    old = pq.read_table(path).drop_columns(["mouth_opening", "eyes_opening"])
    pq.write_table(old, path)
    write_index(run, [shard])
    index = pq.read_table(tmp_path / "index.parquet")
    assert index.schema.equals(SCHEMA)
    assert index["mouth_opening"].null_count == len(index) == 4
    assert set(index["identity"].to_pylist()) == {0.5, 0.2, None}


def test_a_shard_has_what_was_made_in_the_order_of_the_plan(tmp_path: Path) -> None:
    run, shard = made(tmp_path)
    stats = pack(run, shard, began=NOW)
    assert tar_names(run) == [
        f"{name}{ending}"
        for name in ("s000", "s002")
        for ending in (".mp4", ".json", ".landmarks.npz")
    ]
    assert sorted(files(run)) == sorted(
        ["faults.jsonl", "plan.json", "plan.parquet", "run.json"]
        + [f"shards/00000{ending}" for ending in (".parquet", ".tar", "_stats.json")]
    )
    rows = run.rows(shard)
    assert [row["state"] for row in rows] == ["succeeded", "rejected", "succeeded", "failed"]
    assert [row["code"] for row in rows] == [None, "low_quality", None, "no_face"]
    assert rows[1]["reason"] == "identity is 0.2, not >= 0.4." and rows[1]["file"] is None
    assert run.video(rows[2]) == b"video of " + b"s002" * 400
    assert rows[2]["source_sha256"] == "s" * 64 and rows[2]["generate_seconds"] == 3.0
    assert stats["succeeded"] == 2 and stats["failures"] == {"no_face": 1}
    assert json.loads(run.storage.read("shards/00000_stats.json")) == stats


def test_the_json_of_a_sample_tells_nothing_of_the_moment(tmp_path: Path) -> None:
    run, shard = made(tmp_path)
    pack(run, shard, began=NOW)
    about = json.loads(dict(members(Path(run.storage.location("shards/00000.tar"))))["s000.json"])
    assert about["driving"] == "/in/0.mp4" and about["quality"]["identity"] == 0.5
    assert about["weights"] == "default@1" and "timings" not in about and "seconds" not in about


def test_the_bytes_of_a_shard_are_the_same_wherever_it_is_packed(tmp_path: Path) -> None:
    one, shard = made(tmp_path / "one")
    pack(one, shard, began=NOW)
    two, shard = made(storage_at("memory://made/two"))
    pack(two, shard, began=NOW)
    for name in ("shards/00000.tar", "shards/00000.parquet"):
        assert one.storage.read(name) == two.storage.read(name)
    assert two.storage.names("parts/00000") == {}


def test_files_stay_where_workers_have_put_them(tmp_path: Path) -> None:
    run, shard = made(tmp_path, RunOptions("files", 4, ("landmarks",), filters=("identity>=0.4",)))
    pack(run, shard, began=NOW)
    kept = {name for name in files(run) if name.startswith("shards/00000/")}
    assert kept == {
        f"shards/00000/{name}{ending}"
        for name in ("s000", "s002")
        for ending in (".mp4", ".json", ".landmarks.npz")
    }
    row = run.rows(shard)[0]
    assert row["offset"] is None and run.video(row) == b"video of " + b"s000" * 400
    assert row["bytes"] == len(run.video(row))


@pytest.mark.parametrize("output_format", ["shards", "files"])
def test_what_failed_is_added_when_it_is_made(tmp_path: Path, output_format: str) -> None:
    options = RunOptions(output_format, 4, filters=("identity>=0.4",))  # type: ignore[arg-type]
    whole = begin(tmp_path / "whole", samples(4), options)
    (shard,) = whole.shards(samples(4))
    for sample in shard.samples:
        make(whole, shard, sample, quality={"identity": 0.2 if sample.id == "s001" else 0.5})
    pack(whole, shard, began=NOW)
    run, shard = made(tmp_path / "mended", options)
    pack(run, shard, began=NOW)
    make(run, shard, shard.samples[3])
    stats = pack(run, shard, began=NOW)
    assert (stats["succeeded"], stats["rejected"], stats["failed"]) == (3, 1, 0)
    assert run.rows(shard) == whole.rows(shard)
    names = [name for name in files(run) if "stats" not in name and "run.json" not in name]
    assert {name: files(run)[name] for name in names} == {
        name: files(whole)[name] for name in names
    }


@pytest.mark.parametrize("output_format", ["shards", "files"])
@pytest.mark.parametrize("again", [False, True], ids=["the first time", "when more is made"])
def test_packing_may_be_interrupted_after_any_write(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: JobStore,
    output_format: str,
    again: bool,
) -> None:
    options = RunOptions(output_format, 4, filters=("identity>=0.4",))  # type: ignore[arg-type]
    reference, shard = made(tmp_path / "reference", options)
    pack(reference, shard, began=NOW)
    if again:
        make(reference, shard, shard.samples[3])
        pack(reference, shard, began=NOW)

    def interrupted(after: int) -> bool:
        run, shard = made(tmp_path / str(after), options)
        if again:
            pack(run, shard, began=NOW)
            make(run, shard, shard.samples[3])
        left = after

        def counted(operation: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object) -> object:
                nonlocal left
                if not left:
                    raise KeyboardInterrupt
                left -= 1
                return operation(*arguments)

            return call

        broken = True
        with monkeypatch.context() as patch:
            for name in ("write", "delete"):
                patch.setattr(run.storage, name, counted(getattr(run.storage, name)))
            try:
                pack(run, shard, began=NOW)
                broken = False
            except KeyboardInterrupt:
                pass
        go_on(run, store)
        found, wanted = files(run), files(reference)
        assert found.keys() == wanted.keys()
        assert all(found[name] == wanted[name] for name in found if name.endswith(("tar", "mp4")))
        assert run.rows(shard) == reference.rows(shard)
        return broken

    after = 0
    while interrupted(after):
        after += 1
    assert after >= 4


def test_a_shard_in_which_nothing_was_made_has_no_tar(tmp_path: Path) -> None:
    run = begin(tmp_path, samples(2), OPTIONS)
    (shard,) = run.shards(samples(2))
    for sample in shard.samples:
        fail(run, shard, sample)
    pack(run, shard, began=NOW)
    assert "shards/00000.tar" not in files(run) and len(run.rows(shard)) == 2


def test_a_video_that_somebody_removed_is_told(tmp_path: Path) -> None:
    run, shard = made(tmp_path)
    run.storage.delete(["parts/00000/s002.mp4"])
    with pytest.raises(AnimatorError, match="s002.mp4 of the run is gone") as error:
        pack(run, shard, began=NOW)
    assert error.value.code == "bad_data"
    assert "shards/00000.tar" not in files(run)


def test_frames_are_members_of_the_shard(tmp_path: Path) -> None:
    run = begin(tmp_path, samples(1), RunOptions(extras=("frames",)))
    (shard,) = run.shards(samples(1))
    make(run, shard, shard.samples[0])
    run.storage.delete(["parts/00000/s000.frames.npz"])
    with TarWriter(tmp_path / "frames.tar") as tar:
        tar.add("frame00000.png", b"first")
        tar.add("frame00001.png", b"second")
    run.storage.put("parts/00000/s000.frames.tar", tmp_path / "frames.tar")
    pack(run, shard, began=NOW)
    assert tar_names(run)[2:] == ["s000.frame00000.png", "s000.frame00001.png"]


def test_a_tar_tells_where_its_members_are(tmp_path: Path) -> None:
    names = ["a.mp4", "b" * 150 + ".mp4", "c.mp4"]
    contents = [b"", b"x" * 1000, b"y" * 512]
    with TarWriter(tmp_path / "it.tar") as tar:
        offsets = [tar.add(name, content) for name, content in zip(names, contents, strict=True)]
    whole = (tmp_path / "it.tar").read_bytes()
    for offset, content in zip(offsets, contents, strict=True):
        assert whole[offset : offset + len(content)] == content
    assert [*members(tmp_path / "it.tar")] == [*zip(names, contents, strict=True)]


@pytest.mark.parametrize("where", ["local", "memory://made/whole"])
def test_a_large_file_appears_whole_or_not_at_all(tmp_path: Path, where: str) -> None:
    storage = storage_at(str(tmp_path) if where == "local" else where)
    with pytest.raises(ZeroDivisionError), whole_file(storage, "it/file") as path:
        path.write_bytes(b"half")
        raise ZeroDivisionError
    assert storage.names("it") == {} and not [*tmp_path.rglob("*.part")]
    with whole_file(storage, "it/file") as path:
        path.write_bytes(b"all of it")
    assert storage.read("it/file") == b"all of it"
