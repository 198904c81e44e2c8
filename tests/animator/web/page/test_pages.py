"""The pages as a browser without script sees them, over real requests and a real queue."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from animator.animation.motion.file import pack_motion
from animator.jobs.store import JobStore
from animator.record import JobError, JobRecord, JobState, Progress, Result
from animator.settings import Settings
from animator.spec import JobOptions, JobSpec
from animator.web.access.guard import HEADERS
from animator.web.access.tokens import add_token
from animator.web.app import make_app
from animator.web.context import ServerContext
from animator.web.page.forms import option_names
from animator.web.server import make_context
from animator.web.settings import ServerSettings
from tests.animator.media_files import write_video
from tests.animator.motions import motion
from tests.animator.web.html import Element, read_page

HOST = "http://127.0.0.1"
BROWSER = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": "en-GB,en;q=0.5"}
HOSTILE = "<img src=x onerror=alert(1)>\"'{{7*7}}${8*8}\N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"


@pytest.fixture
def server(tmp_path: Path) -> ServerSettings:
    return ServerSettings(tmp_path / "server")


@pytest.fixture
def context(settings: Settings, server: ServerSettings, store: JobStore) -> ServerContext:
    return make_context(settings, server)


@pytest.fixture
def browser(context: ServerContext) -> Iterator[TestClient]:
    with open_browser(context) as client:
        yield client


def open_browser(context: ServerContext, root_path: str = "") -> TestClient:
    app = make_app(context)
    return TestClient(
        app, HOST, headers=BROWSER, root_path=root_path, raise_server_exceptions=False
    )


def look_at(browser: TestClient, path: str, status: int = 200) -> Element:
    answer = browser.get(path)
    assert answer.status_code == status, answer.text
    return checked(answer)


def checked(answer) -> Element:
    """A page that keeps to what every page has to."""
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    page = read_page(answer.text)
    ids = [one.attributes["id"] for one in page.all() if "id" in one.attributes]
    assert len(ids) == len(set(ids)), sorted(ids)
    for element in page.all():
        names = element.attributes
        assert "style" not in names
        assert not [name for name in names if name.startswith("on")]
        assert element.tag not in ("script", "style") or not element.words
        for name in ("src", "href", "action", "formaction", "poster"):
            if names.get(name):
                assert re.match(r"(/(?!/)|#)", names[name]), (element.tag, names[name])
        for name in ("aria-labelledby", "aria-describedby", "for"):
            missing = set(names.get(name, "").split()) - set(ids)
            assert not missing, (element.tag, names)
    for form in page.all("form"):
        fields = [one for one in form.all() if one.tag in ("input", "select", "button")]
        assert fields[0].attributes["name"] == "csrf"
        assert len(fields[0].attributes["value"]) == 64
    for image in page.all("img"):
        assert "alt" in image.attributes
    assert len(page.all("h1")) == 1 and page.one("title").text and page.one("main")
    return page


def sent(browser: TestClient, path: str, form: Element, *, files=None, **changes: str):
    """What comes of a form; redirections are not followed."""
    fields = {**form.fields(), **changes}
    if form.attributes.get("enctype") == "multipart/form-data":
        parts = [(name, (None, text)) for name, text in fields.items()]
        parts += [(name, file) for name, file in (files or {}).items()]
        # As browsers send a field for a file that nobody has filled.
        parts += [(name, ("", b"")) for name in ("source", "driving") if name not in (files or {})]
        return browser.post(path, files=parts, follow_redirects=False)
    return browser.post(path, data=fields, follow_redirects=False)


def png(shade: int = 128) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((30, 40, 3), shade, np.uint8)).save(content, format="PNG")
    return content.getvalue()


def recorded(store: JobStore, folder: Path, name: str = "a", owner: str = "") -> JobRecord:
    spec = JobSpec(
        str(folder / f"{name}.png"), str(folder / "b.mp4"), f"/out/{secrets.token_hex(4)}.mp4"
    )
    return store.create(spec, options=JobOptions(owner=owner))


def test_make_has_a_field_for_everything(browser: TestClient) -> None:
    page = look_at(browser, "/")
    form = page.one("form", id="make")
    names = {one.attributes["name"] for one in form.all() if "name" in one.attributes}
    assert names == {"csrf", "source", "driving", *option_names()}
    for name in option_names():
        fields = [one for one in form.all(name=name) if one.attributes.get("type") != "radio"]
        for one in fields:
            assert form.one("label", **{"for": one.attributes["id"]}).text
    assert [one.attributes["accept"] for one in form.all("input", type="file", name="source")] == [
        "image/*,video/*",
        "image/*",
    ]
    assert form.one("button", id="look").attributes["formaction"] == "/files"
    assert page.one("a", id="nav-make").attributes["aria-current"] == "page"
    assert page.one("html").attributes["lang"] == "en"


@pytest.mark.slow
def test_two_files_become_a_job(
    browser: TestClient, context: ServerContext, samples: tuple[Path, Path]
) -> None:
    files = {
        "source": ("my face.png", samples[0].read_bytes()),
        "driving": ("a clip.mp4", samples[1].read_bytes()),
    }
    # Looked at: both are shown with the face outlined, and what was entered is kept.
    form = look_at(browser, "/").one("form", id="make")
    answer = sent(browser, "/files", form, files=files, size="512", margin="1.75", smoothing="0.25")
    assert answer.status_code == 303
    page = look_at(browser, answer.headers["location"])
    for name, shown in (("source", "my face.png"), ("driving", "a clip.mp4")):
        card = page.one("section", id=f"{name}-card")
        assert shown in card.text and "512 × 512" in card.text
        outline = card.one("svg", **{"class": "outline"})
        assert outline.attributes["viewbox"] == "0 0 512 512"
        assert "hidden" not in outline.attributes
        assert outline.all("path")[0].attributes["d"].startswith("M")
    warned = page.one("ul", id="source-findings").text
    assert "is enlarged to 512" in warned and "a smaller “Size”" in warned
    assert page.one("p", id="ready").text == ""
    form = page.one("form", id="make")
    fields = form.fields()
    assert (fields["size"], fields["smoothing"], len(fields["source"])) == ("512", "0.25", 20)
    assert "open" in form.one("details", id="more").attributes

    # Something is wrong: it is said beside its field, and the files are kept.
    answer = sent(browser, "/jobs", form, size="5", start="soon")
    assert answer.status_code == 422
    page = checked(answer)
    assert page.one("p", id="size-error").text.startswith("Size is 5; allowed is auto, or an even")
    assert "'soon' is not a time" in page.one("p", id="start-error").text
    assert page.one("input", id="option-size").attributes["aria-invalid"] == "true"
    again = page.one("form", id="make").fields()
    assert (again["source"], again["size"], again["start"]) == (fields["source"], "5", "soon")

    # Submitted
    answer = sent(browser, "/jobs", page.one("form", id="make"), size="128", start="", end="0.2")
    assert answer.status_code == 303
    job = look_at(browser, answer.headers["location"])
    assert job.one("article", id="job").attributes["data-state"] == "queued"
    assert job.one("h1").text == "my face moved by a clip"
    assert job.one("noscript").one("meta").attributes["http-equiv"] == "refresh"
    job_id = answer.headers["location"].removeprefix("/jobs/")
    spec = context.client.store.get(job_id).spec
    assert (spec.size, spec.end, spec.smoothing) == (128, "0.2", 0.25)
    picture = browser.get(f"/jobs/{job_id}/picture?watch=1")
    assert picture.headers["content-type"] == "image/jpeg"

    # Again with other options
    page = look_at(browser, f"/?again={job_id}")
    fields = page.one("form", id="make").fields()
    assert (fields["size"], fields["end"], fields["source"]) == ("128", "0.2", again["source"])


@pytest.mark.usefixtures("looks_here")
def test_a_motion_file_is_shown_as_a_figure(browser: TestClient) -> None:
    files = {"driving": ("smile.motion", pack_motion(motion()))}
    form = look_at(browser, "/").one("form", id="make")
    answer = sent(browser, "/files", form, files=files)
    page = look_at(browser, answer.headers["location"])
    card = page.one("section", id="driving-card")
    assert "smile.motion" in card.text and "320 × 240" in card.text
    (image,) = [one for one in card.all("img") if "data-image" in one.attributes]
    assert image.attributes["src"].endswith("/thumbnail.jpg") and "hidden" not in image.attributes
    video = card.one("video")
    assert "hidden" in video.attributes and "src" not in video.attributes
    assert browser.get(image.attributes["src"]).content.startswith(b"\xff\xd8")
    # Later it is offered as a driving file, and never as a portrait.
    page = look_at(browser, "/")
    names = {part: page.one("section", id=f"{part}-card").text for part in ("source", "driving")}
    assert "smile.motion" in names["driving"] and "smile.motion" not in names["source"]


@pytest.mark.usefixtures("looks_here")
def test_a_file_that_is_none_is_named_beside_its_field(browser: TestClient) -> None:
    form = look_at(browser, "/").one("form", id="make")
    files = {"source": ("a.png", b"<html><script>alert(1)</script>"), "driving": ("b", b"")}
    for path in ("/files", "/jobs"):
        answer = sent(browser, path, form, files=files)
        assert answer.status_code in (415, 422)
        page = checked(answer)
        assert page.one("p", id="source-error").text
        assert page.one("p", id="driving-error").text


def test_a_form_without_files_says_so(browser: TestClient) -> None:
    form = look_at(browser, "/").one("form", id="make")
    answer = sent(browser, "/jobs", form)
    assert answer.status_code == 422
    page = checked(answer)
    assert page.one("p", id="source-error").text == "Choose a portrait."
    assert page.one("p", id="driving-error").text == "Choose a driving video."
    assert page.one("div", id="problem").text
    page = look_at(browser, "/?source=00000000000000000000")
    assert "no longer here" in page.one("p", id="source-error").text


@pytest.mark.usefixtures("looks_here")
def test_names_of_files_are_shown_as_they_are(
    browser: TestClient, context: ServerContext, tmp_path: Path
) -> None:
    write_video(tmp_path / "b.mp4", range(4), Fraction(1, 25))
    form = look_at(browser, "/").one("form", id="make")
    files = {
        "source": (HOSTILE + ".png", png()),
        "driving": ("<b>.mp4", (tmp_path / "b.mp4").read_bytes()),
    }
    answer = sent(browser, "/jobs", form, files=files)
    assert answer.status_code == 303
    pages = [look_at(browser, path) for path in (answer.headers["location"], "/jobs", "/")]
    for page in pages:
        assert "{{7*7}}${8*8}" in str([page.text, [one.attributes for one in page.all()]])
        assert not page.all("b") and not page.all("img", src="x")
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.text
    assert "<img src=x onerror=alert(1)>" in pages[0].one("h1").all("bdi")[0].text


def test_a_job_is_cancelled_tried_again_and_removed(
    browser: TestClient, store: JobStore, tmp_path: Path
) -> None:
    job = recorded(store, tmp_path)
    page = look_at(browser, f"/jobs/{job.id}")
    assert page.one("progress", id="progress").attributes["value"] == "0"
    for action, state in (("cancel", "cancelled"), ("retry", "queued"), ("cancel", "cancelled")):
        form = next(one for one in page.all("form") if one.all("button", id=action))
        assert form.attributes["action"] == f"/jobs/{job.id}/{action}"
        answer = sent(browser, form.attributes["action"], form)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}")
        page = look_at(browser, f"/jobs/{job.id}")
        assert page.one("article", id="job").attributes["data-state"] == state
    form = next(one for one in page.all("form") if one.all("button", id="delete"))
    answer = sent(browser, form.attributes["action"], form)
    page = look_at(browser, answer.headers["location"])
    assert page.one("p", id="told").text == "Done for 1 job."
    assert look_at(browser, f"/jobs/{job.id}", 404).one("section", id="error")


def test_several_jobs_at_once(browser: TestClient, store: JobStore, tmp_path: Path) -> None:
    jobs = [recorded(store, tmp_path, f"n{number}") for number in range(33)]
    page = look_at(browser, "/jobs")
    assert len(page.all("li", **{"class": "row"})) == 30
    assert page.one("nav", id="filter").text == (
        "All 33 Waiting 33 Rendering 0 Done 0 Failed 0 Cancelled 0"
    )
    older = page.one("a", rel="next").attributes["href"]
    assert len(look_at(browser, older).all("li", **{"class": "row"})) == 3
    form = page.one("form", id="jobs")
    ids = [one.id for one in jobs[-3:]] + ["../../x", "0" * 12]
    data = {**form.fields(), "job": ids, "action": "cancel"}
    answer = browser.post("/jobs/actions", data=data, follow_redirects=False)
    page = look_at(browser, answer.headers["location"])
    assert page.one("p", id="told").text == (
        "Done for 3 jobs. 2 jobs were left as they are, the first because: No job has this id."
    )
    page = look_at(browser, "/jobs?state=cancelled")
    shown = {one.attributes["value"] for one in page.all("input", name="job")}
    assert shown == {one.id for one in jobs[-3:]}
    assert page.one("a", id="filter-cancelled").attributes["aria-current"] == "true"
    assert store.counts()[JobState.CANCELLED] == 3


def test_how_a_job_is_doing(browser: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = recorded(store, tmp_path, "<i>")
    claimed = store.claim(job.id, "worker-1")
    assert claimed is not None
    store.report(job.id, claimed.attempt, Progress("generate", 45, 180, 12.345, 61.2))
    store.log(job.id, HOSTILE, "worker-1")
    page = look_at(browser, f"/jobs/{job.id}")
    assert page.one("p", id="progress-words").text == (
        "45 of 180 frames · 12 frames a second · 1:01 left"
    )
    assert page.one("progress", id="progress").attributes["value"] == "0.2500"
    assert page.one("img", id="newest").attributes["class"] == "clear-3"
    assert HOSTILE.replace("\N{RIGHT-TO-LEFT OVERRIDE}", "") in page.one(
        "details", id="log"
    ).text.replace("\N{RIGHT-TO-LEFT OVERRIDE}", "")
    assert browser.get(f"/jobs/{job.id}/picture").headers["content-type"] == "image/svg+xml"
    row = look_at(browser, "/jobs").one("li", id=f"row-{job.id}")
    assert "45 of 180 frames" in row.text and row.one("progress").attributes["value"] == "0.2500"

    store.fail(job.id, claimed.attempt, JobError("no_face", f"{HOSTILE} Choose --source-face 2."))
    page = look_at(browser, f"/jobs/{job.id}")
    told = page.one("p", id="error-message").text
    assert "<img src=x onerror=alert(1)>" in told and "“Face of the portrait” 2" in told
    assert "Code: no_face" in page.one("div", id="ended").text
    assert not page.all("noscript")


def test_what_came_of_a_job(browser: TestClient, store: JobStore, tmp_path: Path) -> None:
    job = recorded(store, tmp_path)
    output = tmp_path / "out.mp4"
    claimed = store.claim(job.id, "worker-1")
    assert claimed is not None
    result = Result(
        str(job.spec.output), 180, 21.4, 8.41, warnings=(HOSTILE,), missing=((1, 2), (5, 9))
    )
    store.succeed(job.id, claimed.attempt, result)
    page = look_at(browser, f"/jobs/{job.id}")
    # Its video is nowhere, so none is offered.
    assert not output.exists() and not page.all("video") and not page.all("a", id="download")
    notes = page.one("section", id="warnings").text
    assert "<img src=x onerror=alert(1)>" in notes and "2 parts of the driving video" in notes
    about = page.one("details", id="about").text
    assert "Sizeauto" in about and "MotionCarried over" in about and "Took0:21" in about


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".apng", ".webm"])
def test_pictures_that_move_are_shown_as_pictures(
    suffix: str, browser: TestClient, store: JobStore, tmp_path: Path
) -> None:
    output, sound = tmp_path / f"out{suffix}", tmp_path / "a voice.wav"
    output.write_bytes(b"content")
    audio = {"audio": str(sound)} if suffix == ".webm" else {}
    spec = JobSpec(str(tmp_path / "a.png"), str(tmp_path / "b.mp4"), str(output), **audio)
    job = store.create(spec, options=JobOptions())
    claimed = store.claim(job.id, "worker-1")
    assert claimed is not None
    store.succeed(job.id, claimed.attempt, Result(str(output), 10, 1.0, 10.0))
    page = look_at(browser, f"/jobs/{job.id}")
    videos, pictures = page.all("video", id="result-video"), page.all("img", id="result-picture")
    assert (len(videos), len(pictures)) == ((1, 0) if suffix == ".webm" else (0, 1))
    (shown,) = videos or pictures
    assert shown.attributes["src"].endswith(f"/v1/jobs/{job.id}/result")
    # Of files, pages tell names alone.
    about = page.one("details", id="about").text
    assert str(tmp_path) not in about
    assert ("Sounda voice.wav" in about) == (suffix == ".webm")
    # The form has no field for a file's sound, and takes the usual one.
    form = look_at(browser, f"/?again={job.id}").one("form", id="make").fields()
    assert (form["format"], form["audio"]) == (suffix[1:], "driving")


def test_others_jobs_are_not_shown(context: ServerContext, store: JobStore, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    anna, boss = add_token(file, "anna"), add_token(file, "boss", sees_all=True)
    context = make_context(context.settings, ServerSettings(context.server.folder, token_file=file))
    own, other = recorded(store, tmp_path, owner="anna"), recorded(store, tmp_path, owner="bert")
    with open_browser(context) as browser:
        # Nobody is there yet.
        answer = browser.get("/jobs", follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/jobs")
        page = look_at(browser, "/login?next=/jobs")
        form = page.one("form", id="login")
        answer = sent(browser, "/login", form, token="wrong")
        assert answer.status_code == 401
        assert checked(answer).one("p", id="token-error").text
        # With a token one's own are seen, and nothing of others.
        answer = sent(browser, "/login", form, token=anna)
        assert (answer.status_code, answer.headers["location"]) == (303, "/jobs")
        page = look_at(browser, "/jobs")
        assert [one.attributes["value"] for one in page.all("input", name="job")] == [own.id]
        assert "All 2" not in page.text
        for path in (f"/jobs/{other.id}", f"/jobs/{other.id}/picture", f"/?again={other.id}"):
            look_at(browser, path, 404)
        csrf = page.one("form", id="jobs").fields()["csrf"]
        answer = browser.post(f"/jobs/{other.id}/cancel", data={"csrf": csrf})
        assert answer.status_code == 404
        assert store.get(other.id).state is JobState.QUEUED
        # Signed out, the cookie is worth nothing.
        cookies = dict(browser.cookies)
        out = next(one for one in page.all("form") if one.attributes["action"] == "/logout")
        assert sent(browser, "/logout", out).status_code == 303
        browser.cookies.update(cookies)
        assert browser.get("/jobs", follow_redirects=False).status_code == 303
    with open_browser(context) as browser:
        form = look_at(browser, "/login?next=//evil.example").one("form", id="login")
        assert sent(browser, "/login", form, token=boss).headers["location"] == "/"
        assert len(look_at(browser, "/jobs").all("input", name="job")) == 2


POSTS = (
    "/files", "/jobs", "/jobs/actions", "/jobs/0123456789ab/cancel", "/sample", "/login", "/logout",
)  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_a_form_from_elsewhere_is_refused(browser: TestClient, path: str) -> None:
    browser.get("/")
    multipart = path in ("/files", "/jobs")
    for csrf in ({}, {"csrf": "0" * 64}):
        given = {"files": {name: (None, text) for name, text in {"x": "1", **csrf}.items()}}
        answer = browser.post(path, **(given if multipart else {"data": csrf}))
        assert answer.status_code == 403
        assert checked(answer).one("section", id="error").text
    answer = browser.post(path, data={}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403


def test_errors_are_pages_for_browsers_alone(browser: TestClient) -> None:
    for path, status in (("/nothing", 404), ("/jobs/0123456789ab", 404), ("/static/x", 404)):
        page = look_at(browser, path, status)
        assert "Code: no_such_" in page.one("section", id="error").text
        answer = browser.get(path, headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert (
        browser.get("/v1/jobs/0123456789ab")
        .headers["content-type"]
        .startswith("application/problem+json")
    )
    assert browser.request("PUT", "/jobs").status_code == 405
    answer = browser.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 403 and checked(answer).one("p", id="error-message").text


def test_odd_addresses_are_harmless(browser: TestClient) -> None:
    for query in (
        "?state=<script>&cursor=x&done=9999999999&left=-1&why=<b>", "?state=queued&cursor=9-zzz",
        "?done=%00&why=%ff", "?cursor=" + "1" * 5000,
    ):  # fmt: skip
        look_at(browser, f"/jobs{query}")
    for query in (
        "?source=../../x&driving=<script>&size=<b>&look=1", "?again=../x", "?size=%00&start=%ff",
        "?start=" + "9" * 3000, "?" + "&".join(f"x{number}=1" for number in range(2000)),
    ):  # fmt: skip
        page = look_at(browser, f"/{query}")
        assert len(page.all("script")) == 1
    for job_id in ("..", "%2e%2e", "a" * 3000, "%00", "*", "0123456789ab:log"):
        assert browser.get(f"/jobs/{job_id}/picture").status_code == 404


def test_static_files_are_kept_by_browsers(browser: TestClient) -> None:
    page = look_at(browser, "/")
    links = [one.attributes["href"] for one in page.all("link")]
    links.append(page.one("script").attributes["src"])
    assert len(links) == 3
    for link in links:
        answer = browser.get(link)
        assert answer.status_code == 200 and "immutable" in answer.headers["cache-control"]
        assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", answer.text)
        tag = answer.headers["etag"]
        assert browser.get(link, headers={"If-None-Match": tag}).status_code == 304
        assert "immutable" not in browser.get(link.split("?")[0]).headers["cache-control"]
    for name in ("../pages.py", "%2e%2e/pages.py", "style.css.map"):
        assert browser.get(f"/static/{name}").status_code == 404


def test_behind_a_proxy_all_paths_begin_with_its_own(
    settings: Settings, tmp_path: Path, store: JobStore
) -> None:
    context = make_context(settings, ServerSettings(tmp_path / "server", root_path="/tools/anim"))
    job = recorded(store, tmp_path)
    with open_browser(context, "/tools/anim") as browser:
        for path in ("/", "/jobs", f"/jobs/{job.id}", "/workers", "/nothing"):
            page = read_page(browser.get(f"/tools/anim{path}").text)
            for element in page.all():
                for name in ("src", "href", "action", "formaction", "data-events", "data-files"):
                    link = element.attributes.get(name, "#")
                    assert link.startswith(("#", "/tools/anim/")), (path, link)
            assert page.one("body").attributes["data-root"] == "/tools/anim"
        form = read_page(browser.get(f"/tools/anim/jobs/{job.id}").text).all("form")[0]
        answer = sent(browser, form.attributes["action"], form)
        assert answer.headers["location"] == f"/tools/anim/jobs/{job.id}"
