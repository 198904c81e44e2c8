"""Rows of evaluations that are compared: ratios, drift, groups, and tables that do not belong."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "compare_rows.py"


def table(path: Path, rows: dict[str, list[dict[str, float]]], protocol: str = "p") -> Path:
    samples = [
        {"row": row, "sample": f"clip{n}", "identity": f"person{n // 2}", "figures": figures}
        for row, clips in rows.items()
        for n, figures in enumerate(clips)
    ]
    whole = {
        "protocol_sha256": protocol,
        "data": {"SHA-256": "d"},
        "tables": [{"samples": samples}],
    }
    path.write_text(json.dumps(whole))
    return path


def compare(monkeypatch, capsys, *arguments: object) -> list[str]:
    monkeypatch.setattr(sys, "argv", ["compare_rows.py", *map(str, arguments)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    return capsys.readouterr().out.splitlines()


def test_ratios_are_of_the_means_of_clips_that_both_rows_have(tmp_path, monkeypatch, capsys):
    # All ratios of clips are a half but for one that the other row lacks.
    ours = table(tmp_path / "a.json", {"ours": [{"l1": 1.0}, {"l1": 2.0}, {"l1": 9.0}]})
    theirs = table(tmp_path / "b.json", {"spline": [{"l1": 2.0}, {"l1": 4.0}]})
    shown = compare(monkeypatch, capsys, ours, theirs, "--over", "spline")
    assert shown[1] == "all: 3 clips, 2 people"
    assert "| ours | 0.5 [0.5, 0.5] |" in shown
    assert "| spline | 1 [1, 1] |" in shown
    # Without another row they are means; people are drawn with all of their clips.
    assert "| ours | 4 [1, 9] |" in compare(monkeypatch, capsys, ours)
    assert "| ours | 4 [1.5, 9] |" in compare(monkeypatch, capsys, ours, "--draw", "people")


def test_drift_is_a_row_s_own_ratio(tmp_path, monkeypatch, capsys):
    figures = [{"drift": 9.0, "drift late": late, "drift early": 2.0} for late in (2.0, 4.0)]
    shown = compare(monkeypatch, capsys, table(tmp_path / "a.json", {"ours": figures}))
    assert shown[3] == "| method | drift |" and "| ours | 1.5 [1, 2] |" in shown


def test_groups_have_tables_of_their_own(tmp_path, monkeypatch, capsys):
    path = table(tmp_path / "a.json", {"ours": [{"l1": 1.0}, {"l1": 2.0}, {"l1": 3.0}]})
    groups = tmp_path / "groups.csv"
    groups.write_text("sample,group\nclip1,glasses\n")
    shown = compare(monkeypatch, capsys, path, "--groups", groups)
    assert "glasses: 1 clips, 1 people" in shown and shown[-1] == "| ours | 2 |"
    groups.write_text("sample,group\nclip7,glasses\n")
    with pytest.raises(SystemExit, match="clip7.*names no clip"):
        compare(monkeypatch, capsys, path, "--groups", groups)


def test_tables_that_do_not_belong_together_are_refused(tmp_path, monkeypatch, capsys):
    one = table(tmp_path / "a.json", {"ours": [{"l1": 1.0}]})
    other = table(tmp_path / "b.json", {"theirs": [{"l1": 1.0}]}, protocol="q")
    with pytest.raises(SystemExit, match="different protocols"):
        compare(monkeypatch, capsys, one, other)
    with pytest.raises(SystemExit, match="no row 'spline', but ours"):
        compare(monkeypatch, capsys, one, "--over", "spline")
    with pytest.raises(SystemExit, match="nothing has l2; there are l1"):
        compare(monkeypatch, capsys, one, "--metrics", "l2")
    with pytest.raises(SystemExit, match="no table -1 among 1"):
        compare(monkeypatch, capsys, one, "--setting", "-1")
    for text in ("not JSON", "[]", "{}"):
        other.write_text(text)
        with pytest.raises(SystemExit, match="is no table.json"):
            compare(monkeypatch, capsys, other)
