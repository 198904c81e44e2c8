"""Plans: which rows are made, in which order, and that a plan comes back as it was written."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from animator.dataset.manifest.pairs import make_pairs
from animator.dataset.manifest.reader import RowDefaults, read_manifest
from animator.dataset.plan import DatasetPlan, make_plan
from animator.dataset.plan_files import read_plan, write_plan
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.files.storage import Storage
from animator.settings import Settings
from animator.values import Location
from tests.object_store import Bucket

HOUR = 3600
FILES = ("plan.parquet", "faults.jsonl", "plan.json")


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "state", allowed_urls=("memory://plans/ok",))


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """Inputs that are there: a to d, each of which was modified an hour after the one before."""
    for number, name in enumerate("abcd"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (number * HOUR, number * HOUR))
    return tmp_path


def rows_of(media: Path, *pairs: str) -> list[Sample | Fault]:
    return [
        Sample(f"{row}-{pair}", row, *(Location(f"{media}/{name}") for name in pair))
        for row, pair in enumerate(pairs, start=1)
    ]


def names(plan: DatasetPlan) -> list[str]:
    return [sample.id for sample in plan.samples]


def test_samples_of_a_driving_video_follow_each_other(limits: Settings, media: Path) -> None:
    rows = rows_of(media, "ab", "cd", "bb", "bd", "ab", "cb", "ad")
    plan = make_plan(rows, limits)
    assert names(plan) == ["1-ab", "5-ab", "6-cb", "3-bb", "7-ad", "2-cd", "4-bd"]
    assert plan.faults == () and plan.older == 0
    assert make_plan(iter(rows), limits) == plan


def test_faults_are_kept_in_order(limits: Settings, media: Path) -> None:
    (media / "folder").mkdir()
    good = rows_of(media, *["ab"] * 8)
    rows: list[Sample | Fault] = [
        good[0],
        replace(good[1], source=Location(f"{media}/none")),
        Fault(3, "invalid_id", "no id"),
        replace(good[3], driving=Location(f"{media}/folder")),
        replace(good[4], weights="none-such"),
        replace(good[5], weights=f"{media}/a"),
        replace(good[6], source=Location("memory://plans/ok/not-asked-for")),
        replace(good[7], source=Location(f"{media}/a/file-in-a-file")),
    ]
    plan = make_plan(rows, limits)
    assert sorted(names(plan)) == ["1-ab", "7-ab"]
    assert [(fault.row, fault.code, fault.id) for fault in plan.faults] == [
        (2, "no_such_file", "2-ab"),
        (3, "invalid_id", ""),
        (4, "no_frames", "4-ab"),
        (5, "no_such_weights", "5-ab"),
        (6, "weights_unreadable", "6-ab"),
        (8, "no_such_file", "8-ab"),
    ]


def test_the_first_of_an_id_wins(limits: Settings, media: Path) -> None:
    one, two, three, four = (replace(row, id="x") for row in rows_of(media, *["ab"] * 4))
    rows = [
        Fault(9, "bad_manifest", "", "x"),
        one,
        replace(two, id="X"),
        three,
        replace(four, id="y"),
    ]
    plan = make_plan(rows, limits)
    assert names(plan) == ["x", "y"]
    assert [(fault.code, fault.row) for fault in plan.faults[1:]] == [
        ("duplicate_id", 2),
        ("duplicate_id", 3),
    ]
    assert plan.faults[1].message == "Row 1 has the id 'X', too."


def test_a_file_is_asked_about_once(limits: Settings, media: Path) -> None:
    """Whatever happens to it meanwhile: a plan of many rows asks a file system little."""

    def rows():
        yield from rows_of(media, "ab")
        (media / "a").unlink()
        yield from (replace(row, id=f"later{row.row}") for row in rows_of(media, "ab", "cb"))

    assert len(make_plan(rows(), limits).samples) == 3


def test_since(limits: Settings, media: Path) -> None:
    rows = rows_of(media, "aa", "ab", "ba", "cc", "ad")
    moment = datetime.fromtimestamp(HOUR, UTC)
    plan = make_plan(rows, limits, since=moment)
    assert sorted(names(plan)) == ["2-ab", "3-ba", "4-cc", "5-ad"] and plan.older == 1
    later = moment.astimezone(tz=None) + timedelta(seconds=1)
    plan = make_plan(rows, limits, since=later)
    assert sorted(names(plan)) == ["4-cc", "5-ad"] and plan.older == 3
    with pytest.raises(AnimatorError, match="time zone") as caught:
        make_plan(rows, limits, since=datetime(2025, 1, 1))
    assert caught.value.code == "invalid_option"


def test_since_asks_remote_stores(limits: Settings, media: Path) -> None:
    fsspec.filesystem("memory").pipe_file("/plans/ok/new", b"x")
    urls = ["memory://plans/ok/new", "memory://plans/ok/none", "memory://plans/refused/x"]
    (row,) = rows_of(media, "aa")
    rows = [replace(row, id=f"{number}", source=Location(url)) for number, url in enumerate(urls)]
    now = datetime.now(UTC)
    assert names(make_plan(rows, limits, since=now - timedelta(hours=1))) == ["0", "1", "2"]
    # Of what a store does not say, the job finds out.
    assert names(make_plan(rows, limits, since=now + timedelta(hours=1))) == ["1", "2"]


def test_progress_is_told(limits: Settings, media: Path) -> None:
    told: list[int] = []
    rows = (replace(row, id=f"{number}") for number in range(2500) for row in rows_of(media, "ab"))
    make_plan(rows, limits, checked=told.append)
    assert told == [1000, 2000, 2500]


def test_more_rows_than_are_allowed(
    limits: Settings, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animator.dataset.plan.MAX_ROWS", 3)
    assert len(make_plan(rows_of(media, *["ab"] * 3), limits).samples) == 3
    with pytest.raises(AnimatorError, match="more than 3 rows"):
        make_plan(rows_of(media, *["ab"] * 4), limits)


def test_the_fingerprint_tells_plans_apart(limits: Settings, media: Path) -> None:
    rows = rows_of(media, "ab", "cd")
    plan = make_plan(rows, limits)
    assert plan.fingerprint == make_plan(rows, limits).fingerprint
    assert plan.fingerprint == replace(plan, faults=(Fault(1, "bad_manifest", ""),)).fingerprint
    first = plan.samples[0]
    changed = [
        replace(first, id="other"),
        replace(first, seed=1),
        replace(first, seed=0),
        replace(first, start="1"),
        replace(first, end="1"),
        replace(first, motion="absolute"),
    ]
    others = {DatasetPlan((sample, *plan.samples[1:]), ()).fingerprint for sample in changed}
    others |= {
        DatasetPlan(plan.samples[::-1], ()).fingerprint,
        DatasetPlan(plan.samples[:1], ()).fingerprint,
    }
    assert len(others - {plan.fingerprint}) == len(changed) + 2


def many_samples(count: int) -> tuple[Sample, ...]:
    generator = random.Random(1)
    return tuple(
        Sample(
            f"id-{number}",
            number + 1,
            Location(f"/s/é{generator.randrange(50)}.png"),
            Location(f"s3://b/d{generator.randrange(9)}.mp4"),
            start=generator.choice([None, "1:02.5"]),
            seed=generator.choice([None, 0, 2**63 - 1]),
            output_mode=generator.choice(["crop", "paste-back"]),
        )
        for number in range(count)
    )


@pytest.mark.parametrize("url", ["{folder}/run", "memory://plans/ok/run"])
@pytest.mark.parametrize("count", [0, 1, 45_000])
def test_a_plan_comes_back(limits: Settings, tmp_path: Path, url: str, count: int) -> None:
    storage = Storage.open(url.format(folder=tmp_path), limits)
    faults = (Fault(3, "invalid_id", "é \u2028 \n", "x"), Fault(9, "bad_manifest", "no"))
    plan = DatasetPlan(many_samples(count), faults[: count and 2], older=count)
    write_plan(plan, storage)
    written = {name: storage.read(name) for name in FILES}
    again = read_plan(storage)
    assert again == plan and again.fingerprint == plan.fingerprint
    write_plan(again, storage)
    assert written == {name: storage.read(name) for name in written}
    sources = {sample.source: id(sample.source) for sample in again.samples}
    assert all(sources[sample.source] == id(sample.source) for sample in again.samples)


def test_plans_that_are_damaged(limits: Settings, tmp_path: Path) -> None:
    storage = Storage.open(str(tmp_path / "run"), limits)
    with pytest.raises(AnimatorError) as caught:
        read_plan(storage)
    assert caught.value.code == "no_such_file"
    plan = DatasetPlan(many_samples(100), (Fault(3, "invalid_id", "", "x"),))
    write_plan(plan, storage)
    written = {name: storage.read(name) for name in FILES}
    generator = random.Random(2)
    for name, content in written.items():
        damaged = [b"", b"{", b"{}", content * 2, content[:-2]]
        for _ in range(100):
            bad = bytearray(content)
            place = generator.randrange(len(bad))
            bad[place : place + 2] = generator.randbytes(generator.randint(0, 4))
            damaged.append(bytes(bad))
        for bad in damaged:
            storage.write(name, bad)
            try:
                assert read_plan(storage).samples == plan.samples
            except AnimatorError as error:
                assert error.code == "bad_data"
        storage.write(name, content)
    assert read_plan(storage) == plan
    storage.delete(["faults.jsonl"])
    with pytest.raises(AnimatorError) as caught:
        read_plan(storage)
    assert caught.value.code == "no_such_file"


def test_from_manifest_to_plan_in_an_object_store(s3: Bucket, settings: Settings) -> None:
    for name in ("in/a.png", "in/b.png", "in/d.mp4"):
        s3.put(name, b"x")
    s3.put("in/rows.csv", b"source,driving\na.png,d.mp4\n../b.png,d.mp4\n../../x.png,d.mp4\n")
    s3.put("in/rows.jsonl", b'{"source": "b.png", "driving": "d.mp4", "id": "x"}\n')
    limits = replace(settings, allowed_urls=(f"{s3.url}/in", f"{s3.url}/run"))
    storage = Storage.open(f"{s3.url}/run", limits)
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    rows = list(read_manifest(f"{s3.url}/in/rows.csv", limits, RowDefaults()))
    assert [row.code for row in rows if isinstance(row, Fault)] == ["url_refused"] * 2
    plan = make_plan(rows, limits, since=hour_ago)
    write_plan(plan, storage)
    assert s3.keys()[-3:] == ["run/faults.jsonl", "run/plan.json", "run/plan.parquet"]
    assert read_plan(storage) == plan and len(plan.samples) == 1
    rows = list(read_manifest(f"{s3.url}/in/rows.jsonl", limits, RowDefaults()))
    assert not make_plan(rows, limits, since=hour_ago + timedelta(hours=2)).samples
    pairs = make_pairs(
        *([f"{s3.url}/in/*.png"], [f"{s3.url}/in/d.mp4"], "product", 0, limits, RowDefaults())
    )
    assert names(make_plan(pairs, limits)) == ["a--d", "b--d"]
