"""Blind comparisons: which results stand against each other, their sealed key, and the verdicts.

A pair is a portrait, a driver and two candidates, one of which is called A and the other B. Who
judges knows neither; the key is opened once all verdicts are there.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import json
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from math import comb, lcm
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from animator.errors import AnimatorError
from animator.files.output import write_whole

KEY, FORM, SHEET = "key.json", "judgements.csv", "pair-{:02}.png"
"""Names in a sheet's folder."""
FIELDS = ("pair", "better", "remark")
VERDICTS = ("A", "B", "=")
_NOTE = "Says which is which. `blind_sheet.py open` reads it once all pairs are judged."

Duel = tuple[str, str]
"""Two candidates, in the order in which they were given."""


class Pair(NamedTuple):
    """Two results of one portrait and one driver, which both are numbers from 0."""

    portrait: int
    driver: int
    a: str
    b: str


class Judgement(NamedTuple):
    """What was written of a pair: a verdict of `VERDICTS`, and words."""

    better: str
    remark: str


def draw_pairs(
    portraits: int,
    drivers: int,
    candidates: Sequence[str],
    count: int,
    seed: int,
    versus: str | None = None,
) -> list[Pair]:
    """Draw pairs at random, spread as evenly as their number allows.

    Portraits, drivers, and the two places of each two candidates, are taken equally often or once
    more; no portrait has a driver twice as long as there are others, and no pair comes twice.

    Args:
        portraits: how many there are.
        drivers: likewise.
        candidates: names of two or more.
        count: pairs.
        seed: of the chance; equal ones draw equal pairs.
        versus: the candidate that stands against each other one, where not all against all do.

    Raises:
        AnimatorError: invalid_option.
    """
    check_candidates(candidates, versus)
    duels = [duel for duel in combinations(candidates, 2) if versus is None or versus in duel]
    most = portraits * drivers * len(duels)
    if not 1 <= count <= most:
        different = f"of these files and candidates there are {most} different ones"
        message = f"--pairs is {count}; allowed is 1 to {most}, as {different}."
        raise AnimatorError("invalid_option", message)
    random = Random(seed)
    cells = _spread(portraits, drivers, count, random)
    placed = _placed(_matched(cells, duels, random), random)
    drawn = [Pair(*cell, *names) for cell, names in zip(cells, placed, strict=True)]
    random.shuffle(drawn)
    return drawn


def check_candidates(candidates: Sequence[str], versus: str | None = None) -> None:
    """Refuse fewer than two, equal names, or a ``versus`` that is none, with invalid_option."""
    if len(candidates) < 2:
        raise AnimatorError("invalid_option", "A comparison needs two candidates or more.")
    twice = [name for name, times in Counter(candidates).items() if times > 1]
    if twice:
        raise AnimatorError("invalid_option", f"There are two candidates called {twice[0]!r}.")
    if versus is not None and versus not in candidates:
        known = ", ".join(candidates)
        message = f"--versus is {versus!r}, which is no candidate; these are {known}."
        raise AnimatorError("invalid_option", message)


def _spread(portraits: int, drivers: int, count: int, random: Random) -> list[tuple[int, int]]:
    """Portraits with drivers: along the diagonals of their table, each of which has all of both."""
    rows = random.sample(range(portraits), portraits)
    columns = random.sample(range(drivers), drivers)
    turn = lcm(portraits, drivers)
    return [
        (rows[place % portraits], columns[(place + place // turn) % drivers])
        for place in range(count)
    ]


def _matched(cells: Iterable[tuple[int, int]], duels: Sequence[Duel], random: Random) -> list[Duel]:
    """Who stands against whom in each: a new duel there, and of these the rarest until then."""
    met: Counter[Any] = Counter()
    matched = []
    for portrait, driver in cells:

        def rank(duel: Duel, portrait: int = portrait, driver: int = driver) -> tuple[float, ...]:
            at = (duel, portrait, driver)
            there = met[duel, "portrait", portrait] + met[duel, "driver", driver]
            return met[at], met[duel], there, random.random()

        duel = min(duels, key=rank)
        places = [(duel, "portrait", portrait), (duel, "driver", driver), (duel, portrait, driver)]
        met.update([duel, *places])
        matched.append(duel)
    return matched


def _placed(matched: Sequence[Duel], random: Random) -> list[Duel]:
    """The same duels with A first: half of each with either in that place."""
    orders: dict[Duel, list[Duel]] = {}
    times = Counter(matched)
    odd = _directed([duel for duel, number in times.items() if number % 2], random)
    for duel, number in times.items():
        halves = [duel, duel[::-1]] * (number // 2)
        orders[duel] = halves + ([odd[duel]] if number % 2 else [])
        random.shuffle(orders[duel])
    return [orders[duel].pop() for duel in matched]


def _directed(edges: Sequence[Duel], random: Random) -> dict[Duel, Duel]:
    """Directions along paths, so that each name is first as often as second, or once more."""
    left = random.sample(edges, len(edges))
    directed = {}
    while left:
        degree = Counter(chain.from_iterable(left))
        ends = [name for name, number in degree.items() if number % 2]
        here = random.choice(ends or list(degree))
        while edge := next((edge for edge in left if here in edge), None):
            left.remove(edge)
            there = edge[1] if edge[0] == here else edge[0]
            directed[edge] = (here, there)
            here = there
    return directed


def write_key(folder: Path, content: Mapping[str, Any]) -> None:
    """Write the key so that whoever looks at the file learns nothing; errors as of `write_whole`.

    Raises:
        AnimatorError: other_run if the folder has the key of another sheet, or what belongs to one.
    """
    path = folder / KEY
    other = None
    if path.exists():
        if read_key(folder) == json.loads(json.dumps(content)):
            return
        other = "a sheet of other candidates, files or options"
    elif (folder / FORM).exists() or any(folder.glob("pair-*.png")):
        other = "sheets or judgements whose key is gone"
    if other is not None:
        raise AnimatorError("other_run", f"{str(folder)!r} holds {other}; take another folder.")
    sealed = base64.b64encode(zlib.compress(json.dumps(content).encode())).decode()
    write_whole(path, json.dumps({"note": _NOTE, "sealed": sealed}, indent=1).encode())


def read_key(folder: Path) -> dict[str, Any]:
    """What `write_key` was given.

    Raises:
        AnimatorError: no_such_file, bad_data.
    """
    path = folder / KEY
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))["sealed"]
        content = json.loads(zlib.decompress(base64.b64decode(sealed)))
        if not {"candidates", "pairs"} <= set(content):
            raise ValueError
        return dict(content)
    except FileNotFoundError:
        message = f"There is no sheet in {str(folder)!r}: it has no {KEY}."
        raise AnimatorError("no_such_file", message) from None
    except (OSError, ValueError, KeyError, TypeError, zlib.error, binascii.Error):
        raise AnimatorError("bad_data", f"The key {str(path)!r} cannot be read.") from None


def write_form(folder: Path, pairs: int) -> None:
    """Write the empty form, unless there is one already, which somebody may have filled in."""
    if (folder / FORM).exists():
        return
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerows([FIELDS, *([number, "", ""] for number in range(1, pairs + 1))])
    write_whole(folder / FORM, text.getvalue().encode())


def read_form(folder: Path, pairs: int) -> list[Judgement]:
    """The verdicts of all pairs, in their order.

    Raises:
        AnimatorError: no_such_file; bad_data if one is lacking or is not as it should be.
    """
    path = folder / FORM
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        message = f"There are no judgements: {str(path)!r} does not exist."
        raise AnimatorError("no_such_file", message) from None
    except (OSError, UnicodeDecodeError):
        raise AnimatorError("bad_data", f"{str(path)!r} cannot be read as text.") from None
    found: dict[int, Judgement] = {}
    for number, better, remark in _lines(text):
        if not number.isdecimal() or not 1 <= int(number) <= pairs:
            message = f"{FORM} has a pair {number!r}; there are 1 to {pairs}."
            raise AnimatorError("bad_data", message)
        if int(number) in found:
            raise AnimatorError("bad_data", f"{FORM} has pair {int(number)} twice.")
        if better and better not in VERDICTS:
            message = f"Pair {int(number)} has {better!r} as better; allowed are A, B and =."
            raise AnimatorError("bad_data", message)
        if better:
            found[int(number)] = Judgement(better, remark)
    if lacking := [str(number) for number in range(1, pairs + 1) if number not in found]:
        message = f"The key stays shut: not judged yet is pair {', '.join(lacking)} of {pairs}."
        raise AnimatorError("bad_data", message)
    return [found[number] for number in range(1, pairs + 1)]


def _lines(text: str) -> Iterator[tuple[str, str, str]]:
    """Pair, verdict and remark of each line of a form."""
    # Spreadsheets of some countries part by semicolons.
    parted = ";" if ";" in text.partition("\n")[0] else ","
    try:
        rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=parted))
    except csv.Error as error:
        raise AnimatorError("bad_data", f"{FORM} is no table: {error}.") from None
    if not {"pair", "better"} <= set(rows[0] if rows else ()):
        message = f"{FORM} needs a line {','.join(FIELDS)} and one for each pair."
        raise AnimatorError("bad_data", message)
    for row in rows:
        number, better, remark = ((row.get(name) or "").strip() for name in FIELDS)
        if number or better or remark:
            yield number, better.upper(), remark


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of wins and losses if either were as likely; ties are left out."""
    both = wins + losses
    tail = sum(comb(both, number) for number in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**both)


def table(candidates: Sequence[str], pairs: Sequence[Pair], judgements: Sequence[Judgement]) -> str:
    """What was found, as Markdown: a line for each two candidates, the places, the remarks."""
    # Wins, losses and ties of the one that was given first.
    found: defaultdict[Duel, list[int]] = defaultdict(lambda: [0, 0, 0])
    remarks = []
    for number, (pair, (better, remark)) in enumerate(zip(pairs, judgements, strict=True), 1):
        first, second = sorted((pair.a, pair.b), key=candidates.index)
        winner = {"A": pair.a, "B": pair.b}.get(better)
        found[first, second][2 if winner is None else (first, second).index(winner)] += 1
        if remark:
            verdict = "neither" if winner is None else winner
            names = f"A {pair.a}, B {pair.b}; better {verdict}"
            remarks.append(f"- pair {number} ({names}): {' '.join(remark.split())}")
    lines = ["| candidate | against | wins | losses | ties | p |", "|---|---|---|---|---|---|"]
    for duel in combinations(candidates, 2):
        if duel in found:
            wins, losses, ties = found[duel]
            p = sign_test(wins, losses)
            lines.append(f"| {duel[0]} | {duel[1]} | {wins} | {losses} | {ties} | {p:.3f} |")
    # Who prefers a place has not looked at the pictures alone.
    times = Counter(judgement.better for judgement in judgements)
    lines += ["", f"A was better {times['A']} times, B {times['B']} times."]
    return "\n".join([*lines, *(["", "Remarks:", "", *remarks] if remarks else [])])
