"""The report of a run in a real browser: it fits the width of a phone, and it is all there."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from animator.dataset.report.data import summarise
from animator.dataset.report.page import render
from tests.animator.dataset.report_rows import BEGAN, hostile_report, make_report, make_videos

pytestmark = pytest.mark.slow

WIDTHS = (375, 1280)
# In a frame, as a window of Chromium cannot be as narrow as a phone. What scrolls by itself may be
# wider inside; everything else must end at the right edge.
_MEASURE = """
const found = {};
for (const frame of document.querySelectorAll("iframe")) {
  const page = frame.contentDocument, root = page.documentElement, width = root.clientWidth;
  const beyond = [...page.body.querySelectorAll("*")].filter(
    element => !element.closest(".scroll > *") && element.getBoundingClientRect().right > width + 1
  );
  found[frame.width] = {
    width,
    wide: root.scrollWidth,
    beyond: beyond.map(element => element.outerHTML.slice(0, 80)),
    broken: [...page.images].filter(image => !image.naturalWidth).length,
    images: page.images.length,
    scripts: page.scripts.length,
    sans: getComputedStyle(page.body).fontSize,
  };
}
const result = document.createElement("pre");
result.textContent = JSON.stringify(found);
document.body.append(result);
"""


def chromium() -> str:
    for name in ("chromium", "chromium-browser"):
        if path := shutil.which(name):
            return path
    pytest.skip("there is no Chromium on this machine")


def measured(folder: Path, page: str) -> tuple[dict[str, Any], str]:
    """What a browser finds of a page at every width, and what it says about it."""
    (folder / "page.html").write_text(page, encoding="utf-8")
    frames = "".join(
        f'<iframe src="page.html" width="{width}" height="900"></iframe>' for width in WIDTHS
    )
    (folder / "measure.html").write_text(
        f"<!doctype html><body>{frames}<script>onload = () => {{{_MEASURE}}};</script>"
    )
    command = [
        chromium(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        # Each file is an origin of its own otherwise, whose document cannot be looked into.
        "--allow-file-access-from-files",
        "--enable-logging=stderr",
        f"--user-data-dir={folder / 'browser'}",
        "--dump-dom",
        (folder / "measure.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = re.search(r"<pre>(.*)</pre>", done.stdout)
    assert result, done.stdout[-2000:] + done.stderr[-2000:]
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(result[1])), "\n".join(said)


@pytest.mark.parametrize("kind", ["usual", "hostile", "empty"])
def test_report_fits_phone_and_desk(tmp_path: Path, kind: str) -> None:
    if kind == "usual":
        report = make_report(tmp_path / "videos")
    elif kind == "hostile":
        report = hostile_report(make_videos(tmp_path / "videos", frames=8, size=96))
    else:
        report = summarise(
            title="Empty",
            options={},
            total=10,
            rows=[],
            faults=[],
            shards=[],
            now=BEGAN + timedelta(hours=2),
            video_of=lambda row: b"",
        )
    found, said = measured(tmp_path, render(report))
    assert said == ""
    for width in WIDTHS:
        view = found[str(width)]
        assert 0 < view["wide"] <= view["width"] <= width
        assert view["beyond"] == []
        assert (view["broken"], view["scripts"]) == (0, 0)
        assert view["images"] == 4 * sum(len(sheet.samples) for sheet in report.sheets)
        assert view["sans"] == "16px"


def test_the_browser_would_tell(tmp_path: Path) -> None:
    """The same measurement of a page with each of the faults that it looks for."""
    page = render(make_report(tmp_path / "videos", count=30))
    faults = '<img src="other.png"><p style="width:2000px">wide</p><script>alert(1)</script>'
    found, said = measured(tmp_path, page.replace("<footer>", f"{faults}<footer>"))
    assert "Content Security Policy" in said
    view = found["375"]
    assert view["wide"] >= 2000 and len(view["beyond"]) == 1
    assert (view["broken"], view["scripts"]) == (1, 1)
