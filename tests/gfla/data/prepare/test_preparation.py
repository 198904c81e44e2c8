from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from gfla.data.prepare.preparation import (
    PreparationReport,
    PreparedItem,
    fix_options,
    in_parallel,
)
from gfla.errors import GflaError


def doubled(number: int) -> int:
    if number < 0:
        raise GflaError("invalid_data", f"{number} is below 0")
    return 2 * number


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order_and_pass_the_display(workers: int) -> None:
    shown: list[tuple[str, int]] = []

    def display(results: Iterable[int], title: str, count: int, /) -> Iterable[int]:
        for number, result in enumerate(results, 1):
            shown.append((f"{title} {number}", count))
            yield result

    found = list(in_parallel(doubled, range(20), workers, "doubling", display))
    assert found == [2 * number for number in range(20)]
    assert shown == [(f"doubling {number}", 20) for number in range(1, 21)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_ends_the_preparation(workers: int) -> None:
    with pytest.raises(GflaError, match="-1 is below 0"):
        list(in_parallel(doubled, [1, -1, 2], workers, "doubling"))


def test_nothing_is_printed_without_a_display(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(in_parallel(doubled, [1, 2], 1, "doubling")) == [2, 4]
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_folder_keeps_the_options_it_was_begun_with(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    fix_options(folder, {"size": (1, 2), "kind": "a"})
    fix_options(folder, {"kind": "a", "size": [1, 2]})
    with pytest.raises(GflaError, match=r"other options \(kind, more\)") as caught:
        fix_options(folder, {"kind": "b", "size": (1, 2), "more": 1})
    assert caught.value.code == "invalid_config"


def test_a_report_counts_and_names(tmp_path: Path) -> None:
    report = PreparationReport("pictures", notes={"size": 3})
    report.add(PreparedItem("a", 1))
    report.add(PreparedItem("b", 1, kept=True))
    for number in range(12):
        report.add(PreparedItem(f"c{number}", skipped="damaged"))
    text = report.text()
    assert "1 made" in text and "1 there already" in text and "12 skipped: damaged" in text
    assert "c9\n" in text and "c10" not in text and "and 2 more" in text
    report.write(tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored["counts"] == {"made": 1, "there already": 1} and stored["size"] == 3
    assert stored["skipped"]["damaged"]["count"] == len(stored["skipped"]["damaged"]["names"]) == 12
