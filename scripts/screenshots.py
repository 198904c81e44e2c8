#!/usr/bin/env python3
"""Pictures of the page, taken with a real server, the sample and the weights that are shipped.

python scripts/screenshots.py FOLDER        # every page, 1280 and 375 px wide, light and dark
python scripts/screenshots.py FOLDER --readme docs/server.png
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from animator.broker.embedded import EmbeddedRedis
from animator.samples.media import write_samples
from tests.serving import Server, serving

WIDTHS = {1280: 900, 375: 812}
SCHEMES = ("light", "dark")
_LINE = "#d0cabd"
_AT_REST = ".go { position: static !important }"
_PATIENCE = 900_000
"""Milliseconds for a job on a slow machine."""


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where they go")
    parser.add_argument("--readme", type=Path, help="draw the picture of the README, too")
    parser.add_argument("--weights", default="default", help="a name of `animator weights list`")
    parser.add_argument("--seconds", default="2", help="of the driving video")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as state,
        _farm(Path(state)) as server,
        _chromium() as browser,
    ):
        media = Path(state, "media")
        write_samples(media)
        source = server.upload(media / "source.png", "portrait.png")["id"]
        driving = server.upload(media / "driving.mp4", "nodding.mp4")["id"]
        options = {"weights": given.weights, "end": given.seconds}

        def shoot(name: str, path: str) -> None:
            for width, height in WIDTHS.items():
                for scheme in SCHEMES:
                    with _page(browser, server, width, height, scheme) as page:
                        _show(page, path)
                        target = given.folder / f"{name}-{width}-{scheme}.png"
                        # In a picture of the whole, nothing hovers above the rest
                        page.screenshot(path=target, full_page=True, style=_AT_REST)
                        print(target, file=sys.stderr)

        shoot("make-empty", "/")
        shoot("make", f"/?source={source}&driving={driving}")
        # One is cancelled, one is done, one renders and one waits
        cancelled = server.submit(source, driving, **options, size=512)
        server.http.post(f"/v1/jobs/{cancelled['id']}/cancel")
        done = server.ended(server.submit(source, driving, **options), _PATIENCE / 1000)
        shoot("job-done", f"/jobs/{done['id']}")
        running = server.submit(source, driving, weights=given.weights)
        server.submit(source, driving, weights=given.weights, priority="low")
        with _page(browser, server, 1280, 900, "light") as page:
            _show(page, f"/jobs/{running['id']}")
            _wait(page, "document.querySelector('#progress')?.value > 0.3")
        shoot("job-rendering", f"/jobs/{running['id']}")
        shoot("jobs", "/jobs")
        shoot("workers", "/workers")
        if given.readme:
            with _page(browser, server, 1000, 1020, "light") as page:
                _show(page, f"/?source={source}&driving={driving}")
                page.screenshot(path=given.folder / "readme-make.png")
                _show(page, f"/jobs/{done['id']}")
                page.screenshot(path=given.folder / "readme-job.png")
            _compose(given.folder, given.readme)


@contextmanager
def _farm(state: Path) -> Iterator[Server]:
    """A server with a queue and a worker of its own."""
    for name in [name for name in os.environ if name.startswith("ANIMATOR_")]:
        del os.environ[name]
    os.environ["ANIMATOR_STATE_DIR"] = str(state)
    try:
        with serving() as server:
            yield server
    finally:
        EmbeddedRedis(state).stop()


@contextmanager
def _chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sys.exit("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def _page(browser: Browser, server: Server, width: int, height: int, scheme: str) -> Iterator[Page]:
    context = browser.new_context(
        base_url=server.url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if width < 600 else 1,
        has_touch=width < 600,
        is_mobile=width < 600,
        bypass_csp=True,
    )
    context.set_default_timeout(_PATIENCE)
    yield context.new_page()
    context.close()


def _show(page: Page, path: str) -> None:
    """Open a page, and let its pictures and videos come."""
    page.goto(path)
    _wait(page, "[...document.images].every(one => one.complete)")
    _wait(page, "[...document.querySelectorAll('video[src]')].every(one => one.readyState > 1)")
    if page.locator("#ready").count() and "driving=" in path:
        _wait(
            page,
            "!['', document.querySelector('#make').dataset.checking]"
            ".includes(document.querySelector('#ready').textContent.trim())",
        )
    if page.locator("#newest").count():
        _wait(page, "document.querySelector('#newest').src.startsWith('blob:')")
    if page.locator("#result-video").count():
        # The moment at which most moves
        page.evaluate("document.querySelector('#result-video').currentTime = 1")
        _wait(page, "[...document.querySelectorAll('video')].every(one => !one.seeking)")
    page.wait_for_timeout(1200)


def _wait(page: Page, expression: str) -> None:
    """Wait until an expression in the page is true."""
    for _ in range(_PATIENCE // 100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(100)
    raise TimeoutError(expression)


def _compose(folder: Path, target: Path) -> None:
    """Both screens side by side, small enough for a README."""
    screens = [Image.open(folder / f"readme-{name}.png").convert("RGB") for name in ("make", "job")]
    width, height = screens[0].size
    sheet = Image.new("RGB", (2 * width + 2, height), _LINE)
    for place, one in enumerate(screens):
        sheet.paste(one, (place * (width + 2), 0))
    sheet = ImageOps.expand(sheet, 2, _LINE)
    sheet = sheet.resize((sheet.width * 4 // 5, sheet.height * 4 // 5), Image.Resampling.LANCZOS)
    palette = sheet.quantize(256, kmeans=3)
    sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(target, optimize=True)


if __name__ == "__main__":
    main()
