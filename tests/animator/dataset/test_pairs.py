"""Pairs of files: which files, which pairs, and what their samples are called."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

import fsspec
import pytest

from animator.dataset.manifest.cells import MAX_ID, RowDefaults
from animator.dataset.manifest.pairs import make_pairs
from animator.dataset.samples import Fault, Sample
from animator.errors import AnimatorError
from animator.settings import Settings


@pytest.fixture
def limits(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "state", allowed_urls=("memory://pairs/ok",))


@pytest.fixture
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of files, in the current folder."""
    for name in ("b.png", "a.png", ".hidden.png", "deep/er/c.png", "[1].png", "folder.png/x"):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).touch()
    (tmp_path / "d").mkdir()
    for name in ("y.mp4", "x.mp4"):
        (tmp_path / "d" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pairs(
    limits: Settings, sources, drivings, how: str = "product", seed: int = 0
) -> list[Sample | Fault]:
    return list(make_pairs(sources, drivings, how, seed, limits, RowDefaults()))


def ids(*arguments, **options) -> list[str]:
    return [row.id for row in pairs(*arguments, **options)]


def test_product(limits: Settings, media: Path) -> None:
    found = pairs(limits, ["s/[ab].png"], ["d/*"])
    assert [row.id for row in found] == ["a--x", "b--x", "a--y", "b--y"]
    assert [row.row for row in found] == [1, 2, 3, 4]
    assert found[0] == Sample("a--x", 1, f"{media}/s/a.png", f"{media}/d/x.mp4")


def test_patterns(limits: Settings, media: Path) -> None:
    def sources(*patterns: str) -> list[str]:
        found = pairs(limits, patterns, ["d/x.mp4"])
        return [os.path.relpath(row.source, media / "s") for row in found]  # type: ignore[union-attr]

    assert sources("s/*.png") == ["[1].png", "a.png", "b.png"]  # no folder, nothing hidden
    assert sources(f"{media}/s/**/*.png") == ["[1].png", "a.png", "b.png", "deep/er/c.png"]
    assert sources("s/b.png", "s/*.png", f"file://{media}/s/b.png") == ["b.png", "[1].png", "a.png"]
    assert sources("s/[1].png") == ["[1].png"]
    for pattern, code in (
        ("s/*.jpg", "no_such_file"),
        ("s/none.png", "no_such_file"),
        ("s", "not_a_file"),
        ("s/.hid*", "no_such_file"),
        ("s/\0", "no_such_file"),
        ("file://[x", "invalid_option"),
    ):
        with pytest.raises(AnimatorError) as caught:
            make_pairs([pattern], ["d/*"], "product", 0, limits, RowDefaults())
        assert caught.value.code == code
        assert repr(pattern)[1:-1] in caught.value.message


def test_remote_patterns(limits: Settings, media: Path) -> None:
    files = fsspec.filesystem("memory")
    for name in ("ok/b.png", "ok/a.png", "ok/.c.png", "ok/d.jpg", "ok/in/e.png", "private/f.png"):
        files.pipe_file(f"/pairs/{name}", b"x")
    url = "memory://pairs/ok"
    assert ids(limits, [f"{url}/*.png"], ["d/x.mp4"]) == ["a--x", "b--x"]
    assert ids(limits, [f"{url}/[d]*"], ["d/x.mp4"]) == ["d--x"]
    (one,) = pairs(limits, [f"{url}/not-asked-for.png"], ["d/x.mp4"])
    assert isinstance(one, Sample) and one.source == f"{url}/not-asked-for.png"
    for pattern, code in (
        (f"{url}/*.gif", "no_such_file"),
        (f"{url}/*/e.png", "invalid_option"),
        ("memory://pairs/private/*", "url_refused"),
        ("memory://pairs/private/f.png", "url_refused"),
        (f"{url}/../private/*", "url_refused"),
    ):
        with pytest.raises(AnimatorError) as caught:
            pairs(limits, [pattern], ["d/x.mp4"])
        assert caught.value.code == code


def test_zip(limits: Settings, media: Path) -> None:
    assert ids(limits, ["s/b.png", "s/a.png"], ["d/*"], "zip") == ["b--x", "a--y"]
    with pytest.raises(AnimatorError, match="3 sources and 2 drivings"):
        pairs(limits, ["s/*"], ["d/*"], "zip")


def test_sample(limits: Settings, media: Path) -> None:
    drawn = ids(limits, ["s/*"], ["d/*"], "sample:4", seed=1)
    assert len(set(drawn)) == 4
    # Recorded once: the draw is the same on every machine and in every version of Python.
    product = ids(limits, ["s/*"], ["d/*"])
    assert drawn == [product[place] for place in (0, 1, 3, 4)]
    assert any(ids(limits, ["s/*"], ["d/*"], "sample:4", seed=seed) != drawn for seed in range(9))
    assert ids(limits, ["s/*"], ["d/*"], "sample:6") == ids(limits, ["s/*"], ["d/*"])
    for how, said in (
        ("sample:7", "3 sources and 2 drivings make 6"),
        ("sample:0", "N from 1"),
        ("sample:-1", "N from 1"),
        ("sample:x", "N from 1"),
        ("cross" * 1000, "allowed is product"),
    ):
        with pytest.raises(AnimatorError, match=re.escape(said)) as caught:
            pairs(limits, ["s/*"], ["d/*"], how)
        assert caught.value.code == "invalid_option" and len(caught.value.message) < 600


def test_every_pair_is_drawn_as_often(limits: Settings, media: Path) -> None:
    counts: dict[str, int] = {}
    for seed in range(600):
        for name in ids(limits, ["s/*"], ["d/*"], "sample:2", seed=seed):
            counts[name] = counts.get(name, 0) + 1
    assert len(counts) == 6 and all(140 < count < 260 for count in counts.values())


def test_pairs_of_many_files_are_made_as_they_are_asked_for(
    limits: Settings, tmp_path: Path
) -> None:
    for number in range(2000):
        (tmp_path / f"{number}.x").touch()
    many = [f"{tmp_path}/*.x"]
    first = list(islice(make_pairs(many, many, "product", 0, limits, RowDefaults()), 3))
    assert [row.id for row in first] == ["0--0", "1--0", "10--0"]
    assert len(ids(limits, many, many, "sample:5")) == 5


def test_ids_are_safe_and_unique(limits: Settings, tmp_path: Path) -> None:
    names = [
        *("a b.png", "a_b.png", "é.png", "a.b.png", "A_B.jpg", "x" * 200 + ".png", "---.png"),
        *("a--b.png", "-a.png", "one/same.png", "two/same.png", "..png", "x" * 47 + "-.png"),
        *("x" * 200 + "y.png", "a-.png", "-.png"),
    ]
    for name in names:
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).touch()
    patterns = [f"{tmp_path}/s/{name}" for name in names]
    found = ids(limits, patterns, patterns)
    assert len({name.lower() for name in found}) == len(names) ** 2
    for name in found:
        assert re.fullmatch(rf"[A-Za-z0-9_-]{{1,{MAX_ID}}}", name)
        assert name.count("--") == 1
    # A file keeps its name whatever order the patterns have.
    assert sorted(found) == sorted(ids(limits, patterns[::-1], patterns))


def test_names_that_are_not_text_are_faults(limits: Settings, media: Path) -> None:
    Path(os.fsdecode(os.fsencode(media / "s") + b"/\xff.jpg")).touch()
    bad, good = pairs(limits, ["s/*.jpg"], ["d/x.mp4"])[0], pairs(limits, ["s/a*"], ["d/x.mp4"])[0]
    assert isinstance(bad, Fault) and bad.code == "invalid_option"
    bad.message.encode()
    assert isinstance(good, Sample)


def test_defaults_are_taken_over(limits: Settings, media: Path) -> None:
    defaults = RowDefaults(motion="absolute", seed=3, end="5", priority="low")
    (one,) = make_pairs(["s/a.png"], ["d/x.mp4"], "zip", 0, limits, defaults)
    assert isinstance(one, Sample)
    assert (one.motion, one.seed, one.end, one.priority) == ("absolute", 3, "5", "low")
