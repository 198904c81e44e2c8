"""The page for everybody: axe-core, keyboard alone, narrow and wide windows, less motion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from animator.web.access.tokens import add_token
from tests.animator.web.browsing import faults, focused, until, visit
from tests.serving import NARROW_WEIGHTS, Server, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True}
WINDOWS = {"desktop": DESKTOP, "phone": PHONE}
PAGES = (
    "make", "make, filled", "make, with errors", "done", "failed", "cancelled", "jobs", "no jobs",
    "told", "workers", "not there", "no job",
)  # fmt: skip
EVERYWHERE = bool(os.environ.get("ANIMATOR_LONG_TESTS"))
LOOKED_AT = [
    (window, name)
    for window in WINDOWS
    for name in PAGES
    if EVERYWHERE or window == "desktop" or name in ("make, filled", "done", "jobs")
]
"""Windows and pages; of the phone's only some, but for the long form of the tests."""
LONG = {"size": 1024, "margin": 1.75, "end": "3", "weights": NARROW_WEIGHTS}
WHERE = """() => {
    const one = document.activeElement, box = one.getBoundingClientRect();
    const shown = one.matches("[type=radio]") ? one.nextElementSibling ?? one
        : one.closest(".button.file") ?? one;
    const inside = box.top >= 0 && box.bottom <= innerHeight && box.left >= 0
        && box.right <= innerWidth;
    const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    return {
        what: one.id || one.getAttribute("aria-label") || one.textContent.trim(),
        outlined: getComputedStyle(shown).outlineStyle !== "none",
        seen: inside && (shown.contains(top) || top?.contains(one)),
    };
}"""
"""What has the focus, whether it is outlined, and whether it is in the window and not covered."""


@pytest.fixture(scope="module")
def files(live: Server, samples: tuple[Path, Path]) -> tuple[str, str]:
    """The sample's files as uploads."""
    source, driving = (live.upload(path)["id"] for path in samples)
    return source, driving


@pytest.fixture(scope="module")
def paths(live: Server, files: tuple[str, str]) -> dict[str, str]:
    """Every page in every state that stays, by what it is."""
    source, driving = files
    done = live.ended(live.submit(*files, end="0.5", weights=NARROW_WEIGHTS))
    cancelled = live.submit(*files, **LONG)
    live.http.post(f"/v1/jobs/{cancelled['id']}/cancel")
    # There is no second face
    failed = live.ended(live.submit(*files, end="0.5", face=2, weights=NARROW_WEIGHTS))
    assert [done["state"], failed["state"]] == ["succeeded", "failed"]
    found = {
        "make": "/",
        "make, filled": f"/?source={source}&driving={driving}&look=1",
        "make, with errors": f"/?source={source}&driving={driving}&size=7&end=x&smoothing=9",
        "done": f"/jobs/{done['id']}",
        "failed": f"/jobs/{failed['id']}",
        "cancelled": f"/jobs/{live.ended(cancelled)['id']}",
        "jobs": "/jobs",
        "no jobs": "/jobs?state=queued",
        "told": "/jobs?done=2&left=1&why=no_such_job",
        "workers": "/workers",
        "not there": "/nothing",
        "no job": "/jobs/000000000000",
    }
    assert tuple(found) == PAGES
    return found


@pytest.fixture
def page(browser: Browser, live: Server) -> Iterator[Page]:
    with visit(browser, live.url) as page:
        yield page


def test_axe_would_find_what_is_wrong(page: Page) -> None:
    page.goto("/")
    page.evaluate("document.querySelector('label[for=option-size]').remove()")
    page.evaluate("document.querySelector('#title').style.color = '#ccc'")
    assert {line.split()[1] for line in faults(page)} == {
        "color-contrast",
        "label",
        "label-title-only",
    }


@pytest.mark.parametrize(("window", "name"), LOOKED_AT)
def test_axe_finds_nothing(
    browser: Browser, live: Server, paths: dict[str, str], window: str, name: str
) -> None:
    with visit(browser, live.url, refused=(404,), **WINDOWS[window]) as page:
        page.goto(paths[name])
        if page.locator("#more").count():
            page.evaluate("document.querySelector('#more').open = true")
        found = faults(page)
        page.emulate_media(color_scheme="dark")
        found += faults(page, "color-contrast")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("window", WINDOWS if EVERYWHERE else ["phone"])
def test_axe_finds_nothing_while_a_job_is_on_its_way(
    browser: Browser, live: Server, files: tuple[str, str], window: str
) -> None:
    first, second = (live.submit(*files, **LONG) for _ in range(2))
    found = []
    with visit(browser, live.url, **WINDOWS[window]) as page:
        for path in (f"/jobs/{second['id']}", f"/jobs/{first['id']}", "/jobs", "/workers"):
            page.goto(path)
            if first["id"] in path:
                expect(page.locator("#job-state")).to_contain_text("Rendering")
            found += faults(page)
            page.emulate_media(color_scheme="dark")
            found += faults(page, "color-contrast")
            page.emulate_media(color_scheme="light")
    for job in (first, second):
        live.http.post(f"/v1/jobs/{job['id']}/cancel")
    for job in (first, second):
        live.ended(job)
    assert not found, "\n".join(found)


@pytest.mark.usefixtures("beside_live")
def test_axe_finds_nothing_where_one_signs_in(
    browser: Browser, live: Server, tmp_path: Path
) -> None:
    path = tmp_path / "tokens"
    add_token(path, "ann")
    found = []
    with serving("--no-worker", "--token-file", str(path)) as guarded:
        for window in WINDOWS.values():
            with visit(browser, guarded.url, refused=(401,), **window) as page:
                page.goto("/login")
                found += faults(page)
                page.emulate_media(color_scheme="dark")
                page.fill("#token", "anim_nothing")
                page.press("#token", "Enter")
                expect(page.locator("#token-error")).not_to_be_empty()
                found += faults(page)
    assert not found, "\n".join(found)


def test_the_keyboard_alone_leads_to_the_video(
    page: Page, live: Server, files: tuple[str, str]
) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    for part, chosen in zip(("source", "driving"), files, strict=True):
        # Of what was uploaded earlier; the arrows go from one to the next, and the focus stays
        walk(page, f"{part}-", within=f"{part}-{chosen}")
        page.keyboard.press("Space")
        until(
            page,
            f"document.activeElement.id === '{part}-{chosen}' && document.activeElement.checked",
        )
        expect(page.locator(f"#{part}-card .outline")).to_be_visible()
        assert focused(page) == f"{part}-{chosen}"
    expect(page.locator("#ready")).to_have_text("Both files look good.")
    walk(page, "option-end")
    page.keyboard.type("0.5")
    walk(page, "SUMMARY")
    page.keyboard.press("Enter")
    walk(page, "option-weights")
    page.keyboard.type(NARROW_WEIGHTS)
    walk(page, "submit")
    page.keyboard.press("Enter")
    # The focus is not lost when the job has ended
    page.wait_for_url("**/jobs/*")
    walk(page, "cancel")
    expect(page.locator("#job-state")).to_contain_text("Done")
    assert focused(page) != "BODY"
    walk(page, "play")
    page.keyboard.press("Space")
    until(page, "document.querySelector('#result-video').currentTime > 0.1")
    walk(page, "download", back=True)
    with page.expect_download():
        page.keyboard.press("Enter")


def test_a_wrong_option_is_told_beside_its_field(
    browser: Browser, live: Server, files: tuple[str, str]
) -> None:
    with visit(browser, live.url, refused=(422,)) as page:
        page.goto(f"/?source={files[0]}&driving={files[1]}")
        expect(page.locator("#ready")).to_have_text("Both files look good.")
        page.fill("#option-end", "soon")
        page.press("#option-end", "Tab")
        expect(page.locator("#end-error")).to_contain_text("End")
        expect(page.locator("#option-end")).to_have_attribute("aria-invalid", "true")
        page.fill("#option-end", "0.5")
        page.press("#option-end", "Tab")
        expect(page.locator("#end-error")).to_be_empty()
        expect(page.locator("#ready")).to_have_text("Both files look good.")


def test_a_list_that_changes_keeps_the_focus(
    page: Page, live: Server, files: tuple[str, str]
) -> None:
    job = live.submit(*files, **LONG)
    page.goto("/jobs")
    box = page.locator(f"#job-{job['id']}")
    box.focus()
    page.keyboard.press("Space")
    expect(page.locator(f"#row-{job['id']} .pill")).to_have_text("Rendering")
    live.http.post(f"/v1/jobs/{job['id']}/cancel")
    expect(page.locator(f"#row-{job['id']} .pill")).to_have_text("Cancelled")
    expect(box).to_be_focused()
    expect(box).to_be_checked()


@pytest.mark.parametrize("name", PAGES)
def test_it_fits_into_narrow_and_wide_windows(
    browser: Browser, live: Server, paths: dict[str, str], name: str
) -> None:
    with visit(browser, live.url, refused=(404,)) as page:
        page.goto(paths[name])
        if page.locator("#more").count():
            page.evaluate("document.querySelector('#more').open = true")
        # 320 px are what is left of 1280 at a zoom of 400 %, 640 of 200 %
        for width in (320, 375, 640, 1024, 3840):
            page.set_viewport_size({"width": width, "height": max(width * 9 // 16, 500)})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            used = page.evaluate("document.querySelector('main').getBoundingClientRect().width")
            assert used >= 0.6 * width
            # What is to be touched can be hit
            small = page.evaluate(TOO_SMALL)
            assert not small, (width, small)


TOO_SMALL = """() => [...document.querySelectorAll("button, input, select, summary, nav a")]
    .filter(one => one.checkVisibility() && one.type !== "hidden")
    .map(one => [one, (one.closest("label") ?? one).getBoundingClientRect()])
    .filter(([, box]) => box.width < 24 || box.height < 24)
    .map(([one]) => one.outerHTML.slice(0, 120))"""
"""Controls of less than 24 pixels a side."""


def test_less_motion_is_none(browser: Browser, live: Server, files: tuple[str, str]) -> None:
    job = live.submit(*files, **LONG)
    with visit(browser, live.url, reduced_motion="reduce") as page:
        page.goto(f"/jobs/{job['id']}")
        expect(page.locator("#job-state")).to_contain_text("Rendering")
        for _ in range(10):
            assert page.evaluate("document.getAnimations().length") == 0
            page.wait_for_timeout(50)
    live.http.post(f"/v1/jobs/{job['id']}/cancel")
    live.ended(job)


def walk(page: Page, to: str, *, within: str = "", back: bool = False) -> None:
    """Press Tab until something has the focus, and see that it is outlined all the way.

    Args:
        page: where.
        to: how its id, or else its tag, begins.
        within: a radio button of the group, to which the arrows lead from there.
        back: whether to go backwards.
    """
    seen = []
    for _ in range(120):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        where = page.evaluate(WHERE)
        assert where["outlined"] and where["seen"], where
        seen.append(where["what"])
        at = focused(page)
        if within and at.startswith(to) and len(at) == len(within):
            while focused(page) != within:
                page.keyboard.press("ArrowRight")
            return
        if at.startswith(to) and not within:
            return
    raise AssertionError(f"{to!r} is never reached: {seen}")
