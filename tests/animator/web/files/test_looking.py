"""The look at a file by a child, which may crash, hang, lie or be one of too many."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import anyio
import pytest

from animator.errors import AnimatorError
from animator.settings import Settings
from animator.web.files.looking import (
    CHILDREN,
    Turnstile,
    in_a_thread_of_its_own,
    look_at,
    read_facts,
    still_of,
)

MISBEHAVIOUR = "tests.animator.misbehaviour:"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, check_seconds=20)


def test_a_real_file(samples: tuple[Path, Path], settings: Settings) -> None:
    looked = look_at(samples[0], settings)
    assert looked.facts.format == "png" and len(looked.facts.faces) == 1
    assert looked.thumbnail.startswith(b"\xff\xd8\xff")
    assert still_of(samples[1], settings).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ("crash", "check_crashed"),
        ("eat", "out_of_memory"),
        ("flood", "check_crashed"),
        ("answer", "check_crashed"),
        ("lie", "check_crashed"),
        ("nonsense", "check_crashed"),
    ],
)
def test_what_a_file_does_to_the_child(tmp_path: Path, act: str, code: str) -> None:
    settings = Settings(tmp_path, check_seconds=10, check_memory_mb=600)
    for look in (look_at, still_of):
        with pytest.raises(AnimatorError) as info:
            look(tmp_path / "x", settings, target=MISBEHAVIOUR + act)  # type: ignore[operator]
        assert info.value.code == code
        assert str(tmp_path) not in info.value.message


def test_a_child_that_hangs_is_ended(tmp_path: Path) -> None:
    settings = Settings(tmp_path, check_seconds=1)
    with pytest.raises(AnimatorError) as info:
        look_at(tmp_path, settings, target=MISBEHAVIOUR + "hang")
    assert info.value.code == "check_timeout"


GOOD = {
    "kind": "picture",
    "format": "png",
    "width": 4,
    "height": 3,
    "seconds": None,
    "frames": None,
    "has_audio": False,
    "faces": [{"box": [1, 2.5, 3, 4], "crop": {"x": -1, "y": 0, "side": 4}}],
    "findings": [{"level": "note", "code": "hdr", "message": "m", "advice": "", "about": "source"}],
    "shown_at": 0.0,
}


def test_facts_are_read() -> None:
    facts = read_facts(GOOD)
    assert facts.faces[0].crop.side == 4 and facts.findings[0].code == "hdr"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "page"),
        ("format", "html"),
        ("format", ["png"]),
        ("width", 0),
        ("width", "4"),
        ("width", True),
        ("width", 1.5),
        ("height", 1e300),
        ("seconds", "1"),
        ("frames", -1),
        ("faces", [{}]),
        ("faces", [{"box": [1, 2, 3], "crop": {"x": 0, "y": 0, "side": 4}}]),
        ("faces", None),
        ("findings", [{"level": "fatal", "code": "", "message": "", "advice": "", "about": ""}]),
        ("findings", [{"level": "note", "code": 3, "message": "", "advice": "", "about": ""}]),
        ("shown_at", None),
    ],
)
def test_facts_that_make_no_sense_are_refused(name: str, value: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
        read_facts({**GOOD, name: value})


def test_nobody_overtakes_and_not_too_many_wait() -> None:
    turnstile = Turnstile(1, 3, 5.0)
    order: list[int] = []

    def go(number: int) -> None:
        with turnstile.turn():
            order.append(number)

    with turnstile.turn():
        threads = []
        for number in range(3):
            threads.append(threading.Thread(target=go, args=(number,)))
            threads[-1].start()
            while len(turnstile._line) <= number:
                time.sleep(0.001)
        with pytest.raises(AnimatorError) as info, turnstile.turn():
            pass
        assert info.value.code == "too_many_requests" and info.value.retryable
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    with turnstile.turn():
        pass


def test_whoever_waits_too_long_goes() -> None:
    turnstile = Turnstile(1, 3, 0.05)
    with turnstile.turn(), pytest.raises(AnimatorError), turnstile.turn():
        pass
    with turnstile.turn():
        pass


def test_looks_take_no_threads_from_others() -> None:
    at_once, most = 0, 0
    lock = threading.Lock()

    def look() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(in_a_thread_of_its_own, look)
            await anyio.sleep(0.02)
            began = time.monotonic()
            await anyio.to_thread.run_sync(lambda: None)
            assert time.monotonic() - began < 0.5

    anyio.run(main)
    assert most == CHILDREN


def test_one_caller_cannot_fill_the_line() -> None:
    ended = threading.Event()
    refused: list[str] = []

    async def go(who: str) -> None:
        try:
            await in_a_thread_of_its_own(lambda: ended.wait(10), who)
        except AnimatorError as error:
            refused.append(f"{who} {error.code}")

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for who in [*["ann"] * 20, "bob"]:
                group.start_soon(go, who)
            await anyio.sleep(0.1)
            ended.set()
        await in_a_thread_of_its_own(lambda: None, "ann")

    anyio.run(main)
    assert refused == ["ann too_many_requests"] * 4


def test_the_parent_loads_nothing_heavy() -> None:
    code = (
        "import sys, animator.web.files.looking, animator.web.files.uploads\n"
        "import animator.web.api.routes.files, "
        "animator.web.api.routes.checks, animator.web.files.sample\n"
        "print(*{'numpy', 'PIL', 'av', 'cv2', 'torch', 'dlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
