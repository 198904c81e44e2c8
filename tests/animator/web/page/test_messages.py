"""The page's sentences: every one that is used is there, and every one that is there is used."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from markupsafe import Markup

from animator.record import JobState
from animator.web.page import messages
from animator.web.page.forms import OFFERED, SHOWN, option_names
from animator.web.page.messages import FOLDER, Messages, choose, languages, load
from animator.web.page.showing import STAGES

WEB = FOLDER.parent
_CALL = re.compile(r"""\bt(?:\.raw)?\(\s*(f?)["']([a-z][\w.{}-]*)["']""")
_CHOSEN = re.compile(r'\bt\(\(?"([a-z._]+)" if [^)]*? else "([a-z._]+)"')


def used() -> Iterator[str]:
    """Keys that templates and code name as they are, and those that are put together."""
    for path in (*WEB.glob("templates/*.html"), *WEB.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        for formatted, key in _CALL.findall(text):
            if not formatted and not key.endswith((".", "_")):
                yield key
        for pair in _CHOSEN.findall(text):
            yield from pair
    for part in ("source", "driving"):
        yield f"file.{part}"
        yield f"make.missing_{part}"
        yield from (f"file.{what}_{part}" for what in ("drop", "choose", "camera"))
        yield f"file.{part}_help"
    yield from (f"app.{page}" for page in ("make", "jobs", "workers"))
    yield from (f"make.{level}" for level in ("error", "warning", "note"))
    yield from (f"state.{state}" for state in (*JobState, "stopping"))
    yield from (f"stage.{stage}" for stage in (*STAGES, "generate"))
    yield from (f"job.{action}" for action in ("cancel", "retry", "delete"))
    yield from (f"jobs.{action}" for action in ("cancel", "retry", "delete"))
    yield from (f"workers.{state}" for state in ("works", "idle", "leaving"))
    yield from (f"fact.{name}" for name in ("created", "started", "finished"))
    yield from (f"group.{group.replace(' ', '_')}" for group in _groups())
    for name in option_names():
        yield from (f"option.{name}.{what}" for what in ("label", "help"))
    yield from (f"option.format.{choice}" for choice in OFFERED["format"].choices)
    yield from (f"option.audio.{choice}" for choice in ("driving", "source", "none"))
    yield from (f"option.source_motion.{choice}" for choice in OFFERED["source_motion"].choices)
    for name in ("output_mode", "motion"):
        for choice in OFFERED[name].choices:
            yield from (f"option.{name}.{choice}", f"option.{name}.{choice}_help")


def _groups() -> set[str]:
    return {OFFERED[name].group for name in option_names() if name not in SHOWN}


def test_every_key_that_is_used_is_there() -> None:
    assert sorted(set(used()) - load("en").sentences.keys()) == []


def test_every_sentence_is_used() -> None:
    # Two fields in radio buttons, whose legend says all, have no use for their help.
    spare = {"option.output_mode.help", "option.motion.help"}
    assert sorted(load("en").sentences.keys() - set(used()) - spare) == []


@pytest.mark.parametrize("language", languages())
def test_every_language_has_the_names_of_english_in_its_sentences(language: str) -> None:
    english, other = load("en").sentences, load(language).sentences
    assert other.keys() == english.keys()
    names = re.compile(r"\{(\w+)\}")
    for key, text in english.items():
        assert _names(names, other[key]) == _names(names, text), key


def _names(pattern: re.Pattern[str], text: object) -> set[str]:
    return set(pattern.findall(str(text)))


def test_values_are_escaped_and_markup_is_kept() -> None:
    t = Messages(
        "en", {"greeting": "<Hello> {name}", "of": {"one": "{n} job", "other": "{n} jobs"}}
    )
    hostile = "<script>'\"&{0}{name.__class__}"
    assert t("greeting", name=hostile) == (
        "&lt;Hello&gt; &lt;script&gt;&#39;&#34;&amp;{0}{name.__class__}"
    )
    assert t("greeting", name=Markup("<bdi>x</bdi>")) == "&lt;Hello&gt; <bdi>x</bdi>"
    assert [t("of", n=n) for n in (0, 1, 2)] == ["0 jobs", "1 job", "2 jobs"]
    with pytest.raises(KeyError):
        t("greeting")
    with pytest.raises(KeyError):
        t("nothing")


def test_the_language_is_the_reader_s_choice_among_those_that_are_there(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "en.toml").write_text('[a]\nb = "bee"\nc = "sea"\n', encoding="utf-8")
    (tmp_path / "de.toml").write_text('[a]\nb = "Biene"\n', encoding="utf-8")
    monkeypatch.setattr(messages, "FOLDER", tmp_path)
    languages.cache_clear()
    load.cache_clear()
    try:
        assert choose("").language == "en"
        assert choose("fr, de-AT;q=0.8, en;q=0.5").language == "de"
        assert choose("fr, de;q=0, en;q=0.1").language == "en"
        assert choose("de;q=x, ../../etc/passwd, *" + ",a" * 10_000).language == "en"
        german = choose("de")
        assert (german("a.b"), german("a.c")) == ("Biene", "sea")
    finally:
        languages.cache_clear()
        load.cache_clear()
