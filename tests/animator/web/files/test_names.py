"""Names that strangers give, and those that the server makes."""

from __future__ import annotations

import time

import pytest

from animator.web.files.names import clean_name, disposition, is_id, new_id, safe_stem

OVERRIDE, ISOLATE = "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{RIGHT-TO-LEFT ISOLATE}"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("my face.png", "my face.png"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\a.png", "a.png"),
        ("a\0b.png", "ab.png"),
        ("a\r\nSet-Cookie: x", "a Set-Cookie: x"),
        (f"gnp.{OVERRIDE}exe.png", "gnp.exe.png"),
        (f"{ISOLATE}a\N{ZERO WIDTH SPACE}b", "ab"),
        ("x" * 300 + ".png", "x" * 116 + ".png"),
        ("x" * 100_000, "x" * 120),
        ("x." + "y" * 300, "x." + "y" * 118),
        ("", "file"),
        ("...", "file"),
        ("/", "file"),
        ("\ud800\udfff", "file"),
        ("e\u0301.png", "\u00e9.png"),
        ("  two   words .png  ", "two words .png"),
        ("<script>alert(1)</script>.png", "script>.png"),
    ],
)
def test_names_are_made_harmless(name: str, shown: str) -> None:
    assert clean_name(name) == shown
    assert clean_name(shown) == shown


@pytest.mark.parametrize(
    ("names", "stem"),
    [
        (("face.png", "dance.mp4"), "face--dance"),
        (("Zo\u00eb & me.png", "../x.mp4"), "Zoe-me--x"),
        (("\u9f8d.png", "..."), "file--file"),
        (("x" * 300,), "x" * 98),
        (("x" * 300, "y" * 300), "x" * 48 + "--" + "y" * 48),
        (("-rf.png",), "rf"),
    ],
)
def test_stems_of_results(names: tuple[str, ...], stem: str) -> None:
    assert safe_stem(*names) == stem and len(stem) <= 100


def test_a_disposition_is_one_plain_header() -> None:
    assert disposition("a.png", inline=True) == 'inline; filename="a.png"'
    expected = "attachment; filename=\"a_b_.png\"; filename*=UTF-8''a%22b%3B.png"
    assert disposition('a"b;.png', inline=False) == expected
    expected = "attachment; filename=\"_.png\"; filename*=UTF-8''%E9%BE%8D_.png"
    assert disposition("\u9f8d_.png", inline=False) == expected
    assert disposition("a\r\nX: y", inline=False).isprintable()


def test_ids_sort_by_time_and_cannot_be_guessed() -> None:
    first = new_id()
    time.sleep(0.002)
    later = [new_id() for _ in range(1000)]
    assert all(first < one for one in later) and len(set(later)) == 1000
    assert all(map(is_id, later))
    assert not any(map(is_id, ("", "a" * 19, "A" * 20, "a" * 20 + "\n", "../" + "a" * 17)))
