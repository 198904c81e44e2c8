"""The page in a real browser: from two files to the video, with and without script."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from animator.web.access.tokens import add_token
from tests.animator.web.browsing import until, visit
from tests.serving import NARROW_WEIGHTS, Server, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

A_JOB = re.compile("/jobs/[0-9a-z]{12}$")
LONG = {"size": 1024, "margin": 1.75, "end": "3", "weights": NARROW_WEIGHTS}
"""Options of a job that takes half a minute."""
SOME_SECONDS = {**LONG, "end": "1"}
SHORT = {"end": "0.5", "weights": NARROW_WEIGHTS}


@pytest.fixture
def page(browser: Browser, live: Server) -> Iterator[Page]:
    with visit(browser, live.url) as page:
        yield page


@pytest.fixture(scope="module")
def files(live: Server, samples: tuple[Path, Path]) -> tuple[str, str]:
    """The sample's files as uploads, and their faces known to the worker."""
    source, driving = (live.upload(path)["id"] for path in samples)
    live.ended(live.submit(source, driving, **{**LONG, "size": 128}))
    return source, driving


def test_two_files_become_a_video(
    page: Page, live: Server, samples: tuple[Path, Path], tmp_path: Path
) -> None:
    source, driving = samples
    page.goto("/")
    page.set_input_files("#source-file", source)
    page.set_input_files("#driving-file", driving)
    expect(page.locator("#ready")).to_have_text("Both files look good.")
    for part in ("source", "driving"):
        expect(page.locator(f"#{part}-card .outline")).to_be_visible()
        assert outlines_a_face(page, live, part)
    # Options, and off it goes
    page.click("#more summary")
    page.select_option("#option-weights", NARROW_WEIGHTS)
    page.fill("#option-end", "1.5")
    page.fill("#option-size", "512")
    page.click("#submit")
    page.wait_for_url(A_JOB)
    # Progress moves, and so does the picture
    shares, pictures = set[float](), set[str]()
    while page.locator("#job").get_attribute("data-state") in ("queued", "running"):
        share, picture = page.evaluate(LOOK)
        shares.add(share)
        pictures.add(picture)
        page.wait_for_timeout(100)
    assert len(shares) > 2 and sorted(shares)[-1] > 0
    assert len(pictures) > 2
    # The video is there, without a reload, and it is the one on disk
    expect(page.locator("#job-state")).to_contain_text("Done")
    record = live.record(job_of(page))
    with page.expect_download() as download:
        page.click("#download")
    kept = tmp_path / "kept.mp4"
    download.value.save_as(kept)
    assert download.value.suggested_filename == "source--driving.mp4"
    assert kept.read_bytes() == Path(record["output"]).read_bytes()


def test_dropped_files_are_taken_whatever_they_are_called(
    page: Page, live: Server, samples: tuple[Path, Path], tmp_path: Path
) -> None:
    page.goto("/")
    names = ("<img src=x onerror=alert(1)>.png", "'\"&amp;<script>alert(2).mp4")
    # The same content is the same upload, by the name that it had first
    source, driving = (longer(path, tmp_path) for path in samples)
    drop(page, "#driving-card", {names[1]: driving})
    drop(page, "body", {names[0]: source})
    expect(page.locator("#ready")).to_have_text("Both files look good.")
    for part, name in zip(("source", "driving"), names, strict=True):
        expect(page.locator(f"#{part}-card .facts .name")).to_have_text(name)
        assert outlines_a_face(page, live, part)
    page.reload()
    expect(page.locator("#source-card .facts .name")).to_have_text(names[0])
    page.click("#more summary")
    page.select_option("#option-weights", NARROW_WEIGHTS)
    page.fill("#option-end", "0.2")
    page.click("#submit")
    expect(page.locator("#title")).to_contain_text(names[0].removesuffix(".png"))
    expect(page.locator("#job-state")).to_contain_text("Done")
    job = job_of(page)
    page.goto("/jobs")
    expect(page.locator(f"#row-{job} .what")).to_contain_text("<script>")


def test_a_file_that_is_no_picture_is_refused_beside_its_field(
    browser: Browser, live: Server, tmp_path: Path
) -> None:
    page_of_another = tmp_path / "portrait.png"
    page_of_another.write_text("<script>alert(1)</script>")
    with visit(browser, live.url, refused=(415, 422)) as page:
        page.goto("/")
        page.set_input_files("#source-file", page_of_another)
        expect(page.locator("#source-error")).not_to_be_empty()
        assert page.locator("#source-card .stage.empty").is_visible()
        # What is missing is told where the focus goes
        page.click("#submit")
        expect(page.locator("#problem")).to_be_visible()
        expect(page.locator("#source-file")).to_be_focused()


def test_both_videos_play_in_step(page: Page, live: Server, files: tuple[str, str]) -> None:
    job = live.ended(live.submit(*files, start="0.5", end="1.5", weights=NARROW_WEIGHTS))
    page.goto(f"/jobs/{job['id']}")
    assert page.evaluate(
        "document.createElement('video').canPlayType('video/mp4; codecs=avc1.42E01E')"
    )
    until(page, "[...document.querySelectorAll('video')].every(one => one.readyState > 2)")
    page.click("#play")
    until(page, "document.querySelector('#result-video').currentTime > 0.7")
    page.click("#play")
    for place in (None, 500, 100):
        if place is not None:
            page.locator("#position").fill(str(place))
        until(
            page, "[...document.querySelectorAll('video')].every(one => one.paused && !one.seeking)"
        )
        made, driving = (
            page.evaluate(f"document.querySelector('#{name}-video').currentTime")
            for name in ("result", "driving")
        )
        assert abs(driving - made - 0.5) < 0.1
    assert made == pytest.approx(0.1 * 1.0, abs=0.1)


def test_a_job_is_cancelled_and_tried_again(
    page: Page, live: Server, files: tuple[str, str]
) -> None:
    job = live.submit(*files, **LONG)
    page.goto(f"/jobs/{job['id']}")
    expect(page.locator("#job-state")).to_contain_text("Rendering")
    until(page, "document.querySelector('#progress').value > 0")
    page.click("#cancel")
    expect(page.locator("#job-state")).to_contain_text("Cancelled")
    assert live.record(job)["state"] == "cancelled"
    page.click("#retry")
    expect(page.locator("#job-state")).to_contain_text("Rendering")
    assert live.record(job)["attempt"] == 2
    page.click("#cancel")
    expect(page.locator("#job-state")).to_contain_text("Cancelled")
    # Removed, it is in no list
    page.click("#remove summary")
    page.click("#delete")
    page.wait_for_url(re.compile(r"/jobs\?"))
    expect(page.locator("#told")).to_be_focused()
    expect(page.locator(f"#row-{job['id']}")).to_have_count(0)
    assert live.http.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_again_with_other_options_carries_all_over(
    page: Page, live: Server, files: tuple[str, str]
) -> None:
    given = {
        "output_mode": "paste-back", "motion": "absolute", "size": 320, "smoothing": 0.25,
        "start": "0.5", "end": "0.8", "weights": NARROW_WEIGHTS, "priority": "high",
        "missing_face": "interpolate",
    }  # fmt: skip
    job = live.ended(live.submit(*files, **given))
    page.goto(f"/jobs/{job['id']}")
    page.click("#again")
    expect(page.locator("#ready")).to_have_text("Both files look good.")
    page.fill("#option-end", "0.9")
    page.click("#submit")
    page.wait_for_url(A_JOB)
    again = live.ended(job_of(page))
    assert again["id"] != job["id"]
    options, before = ({**one["spec"], "priority": one["priority"]} for one in (again, job))
    assert options == {**before, "end": "0.9", "output": again["output"]}
    assert options == {**options, **given, "end": "0.9"}


def test_jobs_and_workers_are_live(page: Page, live: Server, files: tuple[str, str]) -> None:
    page.goto("/jobs")
    loaded = page.evaluate("performance.timeOrigin")
    first, *others = [live.submit(*files, **LONG) for _ in range(3)]
    rows = [page.locator(f"#row-{job['id']}") for job in (first, *others)]
    for row in rows:
        expect(row).to_be_visible()
    expect(rows[0].locator(".pill")).to_have_text("Rendering")
    # Several at once; what is checked stays so while rows change
    for row in rows[1:]:
        row.locator("input").check()
    before = rows[0].locator(".what p").text_content()
    expect(rows[0].locator(".what p")).not_to_have_text(before or "")
    expect(page.locator("#selected")).to_have_text("2 selected")
    assert page.evaluate("performance.timeOrigin") == loaded
    page.click("#jobs-cancel")
    expect(page.locator("#told")).to_have_text("Done for 2 jobs.")
    for row in rows[1:]:
        expect(row.locator(".pill")).to_have_text("Cancelled")
    expect(rows[0].locator(".pill")).to_have_text("Rendering")
    # The worker that there is
    page.goto("/workers")
    expect(page.locator("#workers .card")).to_have_count(1)
    expect(page.locator("#workers .works a")).to_have_attribute("href", f"/jobs/{first['id']}")
    live.http.post(f"/v1/jobs/{first['id']}/cancel")
    expect(page.locator("#workers")).to_contain_text("Nothing at the moment")
    # Of one state alone
    page.goto("/jobs")
    expect(page.locator(f"#row-{first['id']} .pill")).to_have_text("Cancelled")
    page.click("#filter-cancelled")
    page.wait_for_url(re.compile("state=cancelled"))
    states = page.locator(".row").evaluate_all("rows => rows.map(one => one.dataset.state)")
    assert len(states) >= 3 and set(states) == {"cancelled"}


@pytest.mark.usefixtures("beside_live")
def test_a_server_that_was_away_is_found_again(
    browser: Browser, live: Server, files: tuple[str, str]
) -> None:
    with serving("--no-worker") as first, visit(browser, first.url, away=True) as page:
        job = live.submit(*files, **SOME_SECONDS)
        page.goto(f"/jobs/{job['id']}")
        expect(page.locator("#job-state")).to_contain_text("Rendering")
        first.kill()
        expect(page.locator("#lost")).to_have_text("The connection is lost. Trying again.")
        with serving("--no-worker", "--port", str(first.port)):
            expect(page.locator("#job-state")).to_contain_text("Done")
            expect(page.locator("#result-video")).to_be_visible()


def test_without_script_the_page_does_the_same(
    browser: Browser, live: Server, samples: tuple[Path, Path], tmp_path: Path
) -> None:
    small = tmp_path / "small.png"
    with Image.open(samples[0]) as picture:
        picture.resize((200, 200)).save(small)
    with visit(browser, live.url, refused=(422,), java_script_enabled=False) as page:
        page.goto("/")
        page.set_input_files("#source-file", small)
        page.set_input_files("#driving-file", samples[1])
        page.click("#look")
        expect(page.locator("#source-findings .warning")).to_contain_text("pixels")
        page.set_input_files("#source-file", samples[0])
        page.click("#look")
        page.wait_for_url(re.compile("look=1"))
        for part in ("source", "driving"):
            expect(page.locator(f"#{part}-card .outline")).to_be_visible()
        expect(page.locator("#ready")).to_have_text("Both files look good.")
        page.click("#more summary")
        page.select_option("#option-weights", NARROW_WEIGHTS)
        page.fill("#option-size", "1024")
        page.fill("#option-end", "nonsense")
        page.click("#submit")
        expect(page.locator("#end-error")).not_to_be_empty()
        assert page.input_value("#option-size") == "1024"
        page.fill("#option-end", "3")
        page.click("#submit")
        # It reloads itself
        page.wait_for_url(A_JOB)
        expect(page.locator("#progress-words")).to_contain_text("frames")
        page.click("#cancel")
        expect(page.locator("#job-state")).to_contain_text("Cancelled")
        page.click("#retry")
        expect(page.locator("#job-state")).to_contain_text("Rendering")
        page.click("#cancel")
        expect(page.locator("#job-state")).to_contain_text("Cancelled")
        # A shorter one to its end
        page.click("#again")
        page.fill("#option-end", "0.5")
        page.fill("#option-size", "256")
        page.click("#submit")
        expect(page.locator("#job-state")).to_contain_text("Done")
        with page.expect_download() as download:
            page.click("#download")
        record = live.record(job_of(page))
        assert download.value.path().read_bytes() == Path(record["output"]).read_bytes()
        # The list
        page.goto("/jobs")
        page.locator(f"#row-{record['id']} input").check()
        page.click("#jobs-delete")
        expect(page.locator("#told")).to_have_text("Done for 1 job.")
        expect(page.locator(f"#row-{record['id']}")).to_have_count(0)


@pytest.mark.usefixtures("beside_live")
def test_a_server_with_tokens_asks_who_it_is(
    browser: Browser, live: Server, files: tuple[str, str], tmp_path: Path
) -> None:
    live.ended(live.submit(*files, **SHORT))
    path = tmp_path / "tokens"
    token, _ = add_token(path, "ann"), add_token(path, "bob")
    with serving("--no-worker", "--token-file", str(path)) as guarded:
        with visit(browser, guarded.url, refused=(401,)) as page:
            page.goto("/jobs")
            page.wait_for_url(re.compile(r"/login\?next="))
            page.fill("#token", "anim_nothing")
            page.click("#sign-in")
            expect(page.locator("#token-error")).to_have_text("This token is not known here.")
            page.fill("#token", token)
            page.click("#sign-in")
            page.wait_for_url("**/jobs")
            (cookie,) = page.context.cookies()
            assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
            assert token not in cookie["value"]
            # What others did is not hers to see
            expect(page.locator(".row")).to_have_count(0)
            page.click("#sign-out")
            page.wait_for_url("**/login")
            page.context.clear_cookies()
            page.context.add_cookies([cookie])
            page.goto("/jobs")
            page.wait_for_url(re.compile(r"/login\?next="))


def longer(path: Path, folder: Path) -> Path:
    """The same picture or video in a file that ends with some bytes more."""
    made = folder / path.name
    made.write_bytes(path.read_bytes() + bytes(8))
    return made


def drop(page: Page, selector: str, files: dict[str, Path]) -> None:
    """Drop files, by the names that they shall have, onto a part of the page."""
    media_types = {".png": "image/png", ".mp4": "video/mp4"}
    given = [
        [name, media_types[path.suffix], base64.b64encode(path.read_bytes()).decode()]
        for name, path in files.items()
    ]
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, type, content] of files) {
                const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type }));
            }
            return transfer;
        }""",
        given,
    )
    page.dispatch_event(selector, "drop", {"dataTransfer": transfer})


def outlines_a_face(page: Page, live: Server, part: str) -> bool:
    """Whether what is outlined on a card is where the server found a face."""
    upload = page.input_value(f"input[type=radio][name={part}]:checked")
    face = live.taken(live.http.get(f"/v1/files/{upload}"))["faces"][0]["crop"]
    shown = page.locator(f"#{part}-card .outline .over").evaluate(
        "path => { const box = path.getBBox(); return [box.x, box.y, box.width]; }"
    )
    found = [face["x"], face["y"], face["side"]]
    return shown == pytest.approx(found, abs=0.2 * face["side"])


def job_of(page: Page) -> str:
    """The job whose page it is."""
    return page.url.rpartition("/")[2]


LOOK = """() => {
    const bar = document.querySelector("#progress"), image = document.querySelector("#newest");
    if (!bar || !image?.naturalWidth) return [0, ""];
    const canvas = new OffscreenCanvas(32, 32), context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, 32, 32);
    return [bar.value, context.getImageData(0, 0, 32, 32).data.join()];
}"""
"""How far the job is, and what its picture shows."""
