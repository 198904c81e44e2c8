"""Manifests: what rows mean, what is refused, and that nothing hostile takes memory or raises."""

from __future__ import annotations

import json
import math
import os
import random
import tracemalloc
from pathlib import Path

import fsspec
import pytest

from animator.dataset.manifest.reader import RowDefaults, read_manifest
from animator.dataset.manifest.text import MAX_ROW
from animator.dataset.options import RunOptions
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.settings import Settings
from tests.animator.dataset.manifests import (
    ROWS,
    Read,
    as_csv,
    as_jsonl,
    as_parquet,
    codes,
)


def test_all_formats_say_the_same(read: Read, tmp_path: Path) -> None:
    rows = read(as_csv(ROWS))
    assert rows == read(as_jsonl(ROWS), "rows.jsonl") == read(as_parquet(ROWS), "rows.parquet")
    one, two, three, four, five = rows
    assert one == Sample("one", 1, f"{tmp_path}/a.png", "/abs/d.mp4", seed=7)
    assert isinstance(two, Sample) and isinstance(three, Sample)
    assert (two.source, two.driving) == (f"{tmp_path}/b.png", "/abs/e f.mp4")
    assert (two.start, two.end) == ("1:02.5", "63")
    assert three.source == "s3://bucket/ok/c.png"
    assert three.weights == f"{tmp_path}/w/x.safetensors"
    assert isinstance(four, Sample) and isinstance(five, Sample)
    assert (four.motion, four.output_mode) == ("absolute", "side-by-side")
    assert (five.priority, five.weights) == ("low", "paper-face")
    assert two.id.startswith("00000002-") and len({row.id for row in rows}) == 5


def test_numbers_are_numbers_in_every_format(read: Read) -> None:
    rows = [{"source": "a", "driving": "b", "strength": 0.5, "head": 2}]
    texts = 'source,driving,strength,head,regions\na,b,0.5,2,"mouth,jaw"\n'
    for row in (*read(as_jsonl(rows), "rows.jsonl"), *read(texts)):
        assert isinstance(row, Sample)
        assert (row.strength, row.head, row.expression) == (0.5, 2.0, 1.0)
    assert row.regions == "mouth,jaw"


def test_ids_are_the_same_wherever_the_manifest_lies(
    tmp_path: Path, limits: Settings, read: Read
) -> None:
    (tmp_path / "other").mkdir()
    content = "source,driving\na,b\na,c\n"
    there = [row.id for row in read(content, "other/rows.csv")]
    assert there == [row.id for row in read(content)]
    assert [row.id for row in read("driving,source\nb,a\nc,a\n")] == there


def test_defaults_hold_where_a_cell_is_empty(read: Read) -> None:
    rows = read(
        "source,driving,motion,seed,end\na,b,,,\na,b,relative,1,5\n",
        motion="absolute",
        seed=9,
        start="2",
        weights="paper-face",
        priority="high",
    )
    first, second = rows
    assert isinstance(first, Sample) and isinstance(second, Sample)
    assert (first.motion, first.seed, first.start, first.end) == ("absolute", 9, "2", None)
    assert (first.weights, first.priority) == ("paper-face", "high")
    assert (second.motion, second.seed, second.start, second.end) == ("relative", 1, "2", "5")
    with pytest.raises(AnimatorError, match="motion is 'loud'"):
        RowDefaults(motion="loud")  # type: ignore[arg-type]
    for wrong in ({"seed": -1}, {"priority": "soon"}, {"start": "3", "end": "2"}):
        with pytest.raises(AnimatorError):
            RowDefaults(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.json"])
def test_the_content_tells_where_the_ending_does_not(read: Read, name: str) -> None:
    rows = read(as_csv(ROWS), name)
    assert rows == read(as_jsonl(ROWS), name) == read(as_parquet(ROWS), name)
    assert codes(rows) == [""] * 5


def test_csv_as_other_programs_write_it(read: Read) -> None:
    rows = read(
        "\ufeffSource, Driving ,Output Mode,note\r\n"
        '"a, b.png",  d.mp4 ,crop,"two\r\nlines, ""quoted"""\r\n'
        "\r\n"
        "c.png,d.mp4,paste-back,\r\n"
    )
    assert codes(rows) == ["", ""]
    assert [row.row for row in rows] == [1, 2]
    assert isinstance(rows[0], Sample) and isinstance(rows[1], Sample)
    assert rows[0].source.endswith("/a, b.png") and rows[0].driving.endswith("/d.mp4")
    assert rows[1].output_mode == "paste-back"


def test_columns_that_mean_nothing_are_named_once(limits: Settings, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"source":"a","driving":"b","x":{"y":[1]}}\n' * 3)
    with read_manifest(str(path), limits, RowDefaults()) as manifest:
        assert codes(list(manifest)) == [""] * 3
        assert manifest.notes == ["Columns that are ignored: 'x'."]
        assert manifest.rows == 3
    row = {"source": "a", "driving": "b"} | {f"{number:0100}": 1 for number in range(1000)}
    path.write_text(json.dumps(row))
    manifest = read_manifest(str(path), limits, RowDefaults())
    assert codes(list(manifest)) == [""]
    assert len(manifest.notes[0]) < 1500


@pytest.mark.parametrize(
    ("cells", "code", "said"),
    [
        ({"id": "../up"}, "invalid_id", "'../up' is no id"),
        ({"id": "a.b"}, "invalid_id", ""),
        ({"id": "é"}, "invalid_id", ""),
        ({"id": "x" * 101}, "invalid_id", ""),
        ({"id": "a\n"}, "", ""),
        ({"id": 12}, "", ""),
        ({"id": 1.5}, "invalid_id", ""),
        ({"id": True}, "invalid_id", ""),
        ({"source": ""}, "bad_manifest", "no source"),
        ({"source": None, "driving": " "}, "bad_manifest", "no source and no driving"),
        ({"source": 5}, "invalid_option", "source is 5; allowed is text"),
        ({"source": ["a"]}, "invalid_option", "source is list"),
        ({"source": "a\0b"}, "invalid_option", ""),
        ({"source": "\ud800"}, "invalid_option", "not UTF-8"),
        ({"source": "x" * 5000}, "invalid_option", "4096 are allowed"),
        ({"source": "http://[bad/x"}, "invalid_option", "no URL"),
        ({"source": "file://[bad/x"}, "invalid_option", "no URL"),
        ({"source": "file://host/x"}, "invalid_option", "another machine"),
        ({"source": "s3://bucket/private/x"}, "url_refused", "ANIMATOR_ALLOWED_URLS"),
        ({"source": "s3://bucket/ok/../x"}, "url_refused", ""),
        ({"source": "s3://bucket/ok/%2e%2e/x"}, "url_refused", ""),
        ({"source": "simplecache::s3://bucket/ok/x"}, "", ""),  # no URL: a file that is not there
        ({"seed": "007"}, "", ""),
        ({"seed": 5.0}, "", ""),
        ({"seed": 5.5}, "invalid_option", "seed is 5.5"),
        ({"seed": math.nan}, "invalid_option", "seed is nan"),
        ({"seed": -1}, "invalid_option", ""),
        ({"seed": 2**63}, "invalid_option", ""),
        ({"seed": "1" * 4000}, "invalid_option", ""),
        ({"seed": True}, "invalid_option", ""),
        ({"start": 2, "end": 2.5}, "", ""),
        ({"start": 3, "end": "2"}, "invalid_option", "after the start"),
        ({"start": "soon"}, "invalid_option", "'soon' is not a time"),
        ({"start": math.inf}, "invalid_option", ""),
        ({"end": 1e-9}, "", ""),
        ({"motion": "Relative"}, "invalid_option", "allowed is relative, absolute"),
        ({"output_mode": "x" * 8000}, "invalid_option", "allowed is crop"),
        ({"output_mode": "x" * 100_000}, "invalid_option", "100000 characters"),
        ({"id": "x" * 100_000}, "invalid_id", "100000 characters"),
        ({"strength": 1.5, "head": "0.5", "expression": 0, "regions": "head, eyes"}, "", ""),
        ({"strength": "2.1"}, "invalid_option", "a number from 0 to 2"),
        ({"head": "much"}, "invalid_option", "head is 'much'"),
        ({"head": "1e0"}, "invalid_option", "head is '1e0'"),
        ({"expression": math.nan}, "invalid_option", "expression is nan"),
        ({"regions": "head eyes"}, "invalid_option", "parted by commas"),
        ({"blink": "yes"}, "invalid_option", "allowed is off, auto"),
        ({"face": 2}, "", ""),
        ({"face": "all"}, "", ""),
        ({"face": "first"}, "invalid_option", "face is 'first'; allowed is largest"),
        ({"face": "1=b;2=c", "driving": None}, "", ""),
        ({"face": "all;2=c", "driving": None}, "bad_manifest", "no driving"),
        ({"face": "1=c"}, "invalid_option", "would move no face"),
        ({"face": "1=s3://bucket/private/x", "driving": ""}, "url_refused", ""),
        ({"face": "all", "output_mode": "side-by-side"}, "invalid_option", "output_mode is"),
        ({"ending": "loop"}, "", ""),
        ({"ending": "again"}, "invalid_option", "allowed is hold, loop, stop"),
        ({"priority": "urgent"}, "invalid_option", "allowed is high"),
        ({"priority": {"a": 1}}, "invalid_option", ""),
        ({"weights": "s3://bucket/ok/w"}, "invalid_option", "weights is"),
    ],
)
def test_values(read: Read, cells: dict[str, object], code: str, said: str) -> None:
    good = {"source": "a", "driving": "b"}
    content = "".join(json.dumps(row) + "\n" for row in (good | cells, good))
    row, after = read(content, "rows.jsonl")
    assert codes([row, after]) == [code, ""]
    if isinstance(row, Fault):
        assert said in row.message and len(row.message) < 600
        row.message.encode()


def test_a_fault_names_its_row_by_an_id_that_can_be_shown(read: Read) -> None:
    rows = read("id,source,driving,seed\ngood,a,b,x\n../bad,a,b,x\n,a,b,x\n")
    assert [(row.row, row.id, row.code) for row in rows if isinstance(row, Fault)] == [
        (1, "good", "invalid_option"),
        (2, "", "invalid_id"),
        (3, "", "invalid_option"),
    ]


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("", "rows.csv", "empty"),
        ("\n\n", "rows.csv", "empty"),
        ("source,driving\n", "rows.csv", "no rows"),
        ("source,video\na,b\n", "rows.csv", "no column driving; it has 'source', 'video'"),
        ("a;b\n", "rows", "no column source and no column driving"),
        ("source,driving,Source\na,b,c\n", "rows.csv", "two columns 'source'"),
        ("source,driving".encode("utf-16"), "rows.csv", "UTF-16"),
        ('source,"driving\na,b\n', "rows.csv", "header"),
        ("x" * (2 * MAX_ROW), "rows.csv", "header"),
        ("source,driving\ra,b\rc,d\r", "rows.csv", "header"),
        ("\n \n", "rows.jsonl", "no rows"),
        ("PAR1", "rows.parquet", "not Parquet"),
        ("PAR1" + "\0" * 100 + "PAR1", "rows.parquet", "not Parquet"),
        ("source,driving\na,b\n", "rows.parquet", "not Parquet"),
        (as_parquet([]), "rows.parquet", "type"),
    ],
)
def test_files_that_are_no_manifest(read: Read, content, name: str, said: str) -> None:
    if name == "rows.parquet" and said == "type":
        said = "no rows"
    with pytest.raises(AnimatorError) as caught:
        read(content, name)
    assert caught.value.code == "bad_manifest"
    assert said in caught.value.message


def test_files_that_cannot_be_read(limits: Settings, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "large.csv").write_text("source,driving\na,b\n")
    small = Settings(limits.state_dir, max_bytes=10)
    for name, settings, code in (
        ("none.csv", limits, "no_such_file"),
        ("pipe.csv", limits, "not_a_file"),
        (".", limits, "not_a_file"),
        ("large.csv", small, "too_large"),
    ):
        with pytest.raises(AnimatorError) as caught:
            read_manifest(str(tmp_path / name), settings, RowDefaults())
        assert caught.value.code == code


def test_broken_rows_of_csv_spare_the_others(read: Read) -> None:
    rows = read(
        b'source,driving\na,b\nonly one\na,b,c\nx\xff,b\na\rb,c\nc,d\n,\n"e,f\ng,h\n"i, j",k\nl,m\n'
    )
    assert codes(rows) == [
        *("", "bad_manifest", "bad_manifest", "invalid_option", "bad_manifest", ""),
        *("bad_manifest", "bad_manifest", "", "", ""),
    ]
    assert [row.row for row in rows] == list(range(1, 12))
    assert [row.source[-4:] for row in rows if isinstance(row, Sample)][3] == "i, j"


def test_a_quote_that_is_never_closed_costs_one_row(read: Read) -> None:
    rows = read('source,driving\na,b\n"c,d\n' + "e,f\n" * 1000)
    assert codes(rows) == ["", "bad_manifest"] + [""] * 1000
    more = MAX_ROW // 4
    rows = read('source,driving\na,b\n"c,d\n' + "e,f\n" * more + "g,h")
    assert codes(rows) == ["", "row_too_large"] + [""] * (more + 1)
    # Lines that leave a quote open wherever they begin: they are not read again and again.
    rows = read("source,driving\n" + 'a","b\n' * 100_000 + "c,d\n")
    assert rows[-1] == Sample(rows[-1].id, 100_001, *(rows[-1].source, rows[-1].driving))


def test_broken_rows_of_jsonl_spare_the_others(read: Read) -> None:
    good = b'{"source":"a","driving":"b"}\n'
    broken = [
        *(b"{\n", b"[]\n", b"null\n", b"5\n", b'"a"\n', b"\xff\n", b"\0\n", b"{}{}\n"),
        *(b"[" * 100_000 + b"\n", b'{"a":' * 100_000 + b"\n", b"1" * 5000 + b"\n"),
        *(b'{"source":"a","driving":"b","Source":"c"}\n', b'{"source":"a"}\n'),
        good.decode().strip().encode("utf-16") + b"\n",
    ]
    rows = read(good + good.join(broken) + good, "rows.jsonl")
    assert codes(rows)[0::2] == [""] * (len(broken) + 1)
    assert set(codes(rows)[1::2]) == {"bad_manifest"}
    assert any("no driving" in row.message for row in rows if isinstance(row, Fault))


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
@pytest.mark.parametrize("opening", [b"", b'"', b'{"source": "'])
def test_a_row_of_a_hundred_megabytes_is_one_fault(
    tmp_path: Path, limits: Settings, name: str, opening: bytes
) -> None:
    good = {"rows.csv": b"a,b\n", "rows.jsonl": b'{"source":"a","driving":"b"}\n'}[name]
    path = tmp_path / name
    with path.open("wb") as file:
        file.write((b"source,driving\n" if name == "rows.csv" else b"") + good + opening)
        file.seek(100_000_000, os.SEEK_CUR)  # a hole: zero bytes that take no room
        file.write(b"\n" + good)
    tracemalloc.start()
    try:
        rows = list(read_manifest(str(path), limits, RowDefaults()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert codes(rows) == ["", "row_too_large", ""]
    assert peak < 16 * MAX_ROW


def test_a_cell_that_is_too_large_is_one_fault(read: Read) -> None:
    rows = read('source,driving,note\na,b,"' + "x" * 200_000 + '"\nc,d,\n')
    assert codes(rows) == ["row_too_large", ""]


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet", "rows"])
def test_random_damage_raises_nothing_else(read: Read, name: str) -> None:
    generator = random.Random(name)
    good = [as_csv(ROWS).encode(), as_jsonl(ROWS).encode(), as_parquet(ROWS)]
    pieces = [b'"', b"\n", b"\r", b",", b"{", b"[", b"\0", b"\xff", b"\\u", b"NaN", b"1e999", b"'"]
    for _ in range({"rows": 40, "rows.parquet": 15}.get(name, 300)):  # Parquet takes a process
        content = bytearray(generator.choice(good))
        for _ in range(generator.randint(1, 8)):
            place = generator.randrange(len(content))
            size = generator.randint(0, 4)
            content[place : place + size] = generator.choice([*pieces, generator.randbytes(3)])
        try:
            rows = read(bytes(content), name)
        except AnimatorError as error:
            assert error.code in ("bad_manifest", "unreadable_file")
            continue
        for row in rows:  # all of it can be written down
            json.dumps([getattr(row, field) for field in row.__dataclass_fields__]).encode()


def test_remote_manifests(limits: Settings) -> None:
    files = fsspec.filesystem("memory")
    content = (
        "source,driving\na.png,./sub/d.mp4\nmemory://manifests/ok/x.png,up/../d.mp4\n"
        "../private.png,d.mp4\n../../../etc/x,d.mp4\n/abs/a.png,d.mp4\n"
    )
    files.pipe_file("/manifests/ok/in/rows.csv", content.encode())
    files.pipe_file("/manifests/private/rows.csv", content.encode())
    url = "memory://manifests/ok/in/rows.csv"
    rows = list(read_manifest(url, limits, RowDefaults()))
    # The third is still under the URL that is allowed.
    assert codes(rows) == ["", "", "", "url_refused", ""]
    samples = [row for row in rows if isinstance(row, Sample)]
    assert samples[0].source == "memory://manifests/ok/in/a.png"
    assert samples[0].driving == "memory://manifests/ok/in/sub/d.mp4"
    assert samples[1].driving == "memory://manifests/ok/in/d.mp4"
    assert samples[2].source == "memory://manifests/ok/private.png"
    assert samples[3].source == "/abs/a.png"
    for place, code in (
        ("memory://manifests/private/rows.csv", "url_refused"),
        ("memory://manifests/ok/none.csv", "no_such_file"),
        ("memory://manifests/ok/", "bad_manifest"),
    ):
        with pytest.raises(AnimatorError) as caught:
            read_manifest(place, limits, RowDefaults())
        assert caught.value.code == code
    small = Settings(limits.state_dir, allowed_urls=limits.allowed_urls, max_bytes=10)
    with pytest.raises(AnimatorError) as caught:
        read_manifest(url, small, RowDefaults())
    assert caught.value.code == "too_large"


def test_faces_have_driving_files_as_rows_do(read: Read, tmp_path: Path) -> None:
    rows = [
        {"source": "a.png", "face": "2=b.mp4;1=s3://bucket/ok/c.mp4"},
        {"source": "a.png", "driving": "d.mp4", "face": "all;1=/e.mp4"},
        {"source": "a.png", "driving": "d.mp4", "face": 3},
        {"source": "a.png", "driving": "d.mp4"},
    ]
    one, two, three, four = read("".join(json.dumps(row) + "\n" for row in rows), "rows.jsonl")
    assert isinstance(one, Sample) and isinstance(two, Sample)
    assert one.face == f"2={tmp_path}/b.mp4;1=s3://bucket/ok/c.mp4"
    assert one.driving == f"{tmp_path}/b.mp4"
    assert one.pictures == (f"{tmp_path}/a.png", one.driving, one.driving, "s3://bucket/ok/c.mp4")
    assert (two.face, two.driving) == ("all;1=/e.mp4", f"{tmp_path}/d.mp4")
    assert isinstance(three, Sample) and isinstance(four, Sample)
    assert (three.face, four.face) == ("3", "largest")
    spec = RunOptions().spec(three, "/out.mp4")
    assert (spec.face, RunOptions().spec(one, "/out.mp4").faces.several) == (3, True)
