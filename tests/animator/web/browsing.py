"""A real browser for tests of the page: Debian's Chromium, and what it noticed on its way.

with chromium() as browser, visit(browser, server.url) as page:
    page.goto("/")
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

_REFUSED = "Failed to load resource: the server responded with a status of "
_AWAY = "Failed to load resource: net::ERR_"
_SECONDS = 90
"""How long is waited for what a page shall show."""

expect.set_options(timeout=_SECONDS * 1000)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser that finds no other host than this machine."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    lonely = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required", lonely],
        )
        yield browser
        browser.close()


@contextmanager
def visit(
    browser: Browser,
    url: str,
    *,
    refused: tuple[int, ...] = (),
    away: bool = False,
    **options: Any,
) -> Iterator[Page]:
    """A page with a profile of its own; afterwards nothing may have gone wrong in it.

    Args:
        browser: that shows it.
        url: of the server, beyond which nothing may be asked for.
        refused: statuses that the server answers because the test wants it so; a browser writes
            them to its console.
        away: whether the server is gone for a while, of which a browser writes there, too.
        options: of the profile, as Playwright has them.

    Raises:
        AssertionError: if a request went elsewhere, a script failed, or the console has a warning
            or an error, as it has for what the Content-Security-Policy forbids.
    """
    context = browser.new_context(**{"base_url": url, "reduced_motion": "no-preference", **options})
    context.set_default_timeout(_SECONDS * 1000)
    elsewhere, complaints = set[str](), list[str]()
    host = urlsplit(url).netloc

    def asked(request: Request) -> None:
        parts = urlsplit(request.url)
        own = parts.scheme in ("data", "blob") or (parts.scheme, parts.netloc) == ("http", host)
        if not own:
            elsewhere.add(request.url)

    def said(message: ConsoleMessage) -> None:
        known = [f"{_REFUSED}{status}" for status in refused] + [_AWAY] * away
        expected = message.text.startswith(tuple(known))
        if message.type in ("error", "warning") and not expected:
            complaints.append(f"{message.type}: {message.text} ({message.location['url']})")

    context.on("request", asked)
    context.on("console", said)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    try:
        yield page
    finally:
        context.close()
    assert not elsewhere
    assert not complaints, complaints


def faults(page: Page, *rules: str) -> list[str]:
    """What axe-core finds wrong with a page as it is now: a line for each rule and element.

    Args:
        page: that is looked at.
        rules: of axe-core, where not all are meant.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(f"() => {{ {AXE_SCRIPT} }}")
    # A page that is in the middle of a transition has colours that it does not have at rest.
    until(page, "document.getAnimations().every(one => !one.transitionProperty)")
    found = page.evaluate("rules => axe.run(rules.length ? { runOnly: rules } : {})", list(rules))
    return [
        f"{one['impact']}: {one['id']} ({one['help']}): {node['html'][:200]} "
        + "; ".join(line["message"] for line in node["any"] + node["all"] + node["none"])
        for one in found["violations"]
        for node in one["nodes"]
    ]


def until(page: Page, expression: str) -> None:
    """Wait for an expression in the page to become true; the page's policy forbids it to wait."""
    deadline = time.monotonic() + _SECONDS
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, f"never: {expression}"
        page.wait_for_timeout(50)


def focused(page: Page) -> str:
    """What has the focus: its id, else its tag."""
    return str(page.evaluate("() => document.activeElement.id || document.activeElement.tagName"))
