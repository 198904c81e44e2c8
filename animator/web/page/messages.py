"""The page's sentences, by key, in the languages that there are files for.

A language is a file `messages/LANGUAGE.toml` of tables of sentences: `[make] title = "..."` is
`make.title`. Names in braces stand for values. A sentence that depends on a number `n` is a table
of its forms: `one`, and `other` for all the rest.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

FOLDER = Path(__file__).with_name("messages")
USUAL = "en"
_FORMS = {"one", "other"}
_MOST_WISHES = 20
"""Languages of a request that are looked at; a header may name any number."""


class Messages:
    """The sentences of one language.

    Args:
        language: its code, which is its file's name.
        sentences: by key; those with forms as tables.
    """

    def __init__(self, language: str, sentences: Mapping[str, str | Mapping[str, str]]) -> None:
        self.language = language
        self.sentences = sentences

    def __contains__(self, key: str) -> bool:
        return key in self.sentences

    def __call__(self, key: str, **values: Any) -> Markup:
        """A sentence, escaped as HTML; of the values, those that are no markup are escaped, too.

        Raises:
            KeyError: if there is no such sentence, or a value that it names is not given.
        """
        return Markup(escape(self.raw(key, values.get("n")))).format(**values)

    def raw(self, key: str, n: object = None) -> str:
        """A sentence as it stands in the file, with its names in braces."""
        found = self.sentences[key]
        if isinstance(found, str):
            return found
        return found.get("one" if n == 1 else "other", found["other"])


@cache
def languages() -> tuple[str, ...]:
    """Codes of the languages that there are files for."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


@cache
def load(language: str) -> Messages:
    """The sentences of a language, of which those that are missing are in English.

    Raises:
        FileNotFoundError: if there is no such language.
    """
    own = _flat(tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8")))
    return Messages(language, own if language == USUAL else {**load(USUAL).sentences, **own})


def choose(wished: str) -> Messages:
    """The sentences of the language that a reader likes best.

    Args:
        wished: an `Accept-Language` header, such as `de-AT, en;q=0.5`; empty for no wish.
    """
    wishes: list[tuple[float, str]] = []
    for part in wished.split(",")[:_MOST_WISHES]:
        name, _, weight = part.partition(";")
        try:
            liked = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        wishes.append((liked, name.strip().lower()))
    there = languages()
    for liked, name in sorted(wishes, key=lambda wish: -wish[0]):
        for code in (name, name.split("-")[0]):
            if liked > 0 and code in there:
                return load(code)
    return load(USUAL)


def _flat(tree: Mapping[str, Any], before: str = "") -> dict[str, str | Mapping[str, str]]:
    found: dict[str, str | Mapping[str, str]] = {}
    for name, value in tree.items():
        if isinstance(value, str) or ("other" in value and value.keys() <= _FORMS):
            found[before + name] = value
        else:
            found |= _flat(value, f"{before}{name}.")
    return found
