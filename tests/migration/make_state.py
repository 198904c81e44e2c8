"""Packs what a version leaves behind when everything is killed, for later versions to go on from.

    python tests/migration/make_state.py CHECKOUT tests/migration/state-VERSION.tar.xz

CHECKOUT is that version's repository, whose packages are used, with this environment's libraries.
The archive holds the folder ``ROOT`` with a private queue (jobs that wait, were interrupted
halfway, succeeded, failed and were cancelled), weights that were imported, a data set of which a
part is made, and ``told.json`` with what the version's own commands say of all that. Faces are
drawn, weights are random.

Records, run folders and their checksums hold absolute paths, so that a state is of use only in the
place where it came about.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

Picture = np.ndarray
SIZE = 96
ROOT = Path("/tmp/animator-migration")
ENVIRONMENT = {
    "ANIMATOR_DEVICE": "cpu",
    "ANIMATOR_LEASE_SECONDS": "3",
    "ANIMATOR_RETENTION_DAYS": "0",
    "ANIMATOR_SEGMENT_FRAMES": "4",
    "OMP_NUM_THREADS": "1",
}
JOBS = ("succeeded", "failed", "cancelled", "interrupted", "waiting")
SMALL = ("--precision", "bfloat16")
"""So that states of half-made videos take less space in the archive."""
BATCH = ("--weights", "tiny", "--size", "128", "--shard-size", "2", "--in-flight", "1", *SMALL)
LIBRARIES = ("torch", "av", "opencv-python", "dlib-bin")


def drawn_face(landmarks: np.ndarray, shade: float = 1.0) -> Picture:
    """uint8 SIZE SIZE 3: a face with these landmarks, 68 x 2 in 0..1, that a detector finds."""
    side = 4 * SIZE
    points = (landmarks * side).astype(np.int32)
    picture = np.full((side, side, 3), (90, 110, 120), np.uint8)
    width = float(np.linalg.norm(points[16] - points[0]))
    x, y = points[[0, 16]].mean(0)

    def ellipse(centre: Iterable[float], wide: float, high: float, colour: tuple) -> None:
        axes = (int(wide * width), int(high * width))
        cv2.ellipse(picture, tuple(map(int, centre)), axes, 0, 0, 360, colour, -1)

    ellipse((x, y - 0.05 * width), 0.58, 0.72, (60, 45, 35))  # hair
    neck = (int(x - 0.25 * width), int(y + 0.4 * width)), (int(x + 0.25 * width), side)
    cv2.rectangle(picture, *neck, (190, 150, 130), -1)
    brow = points[24, 1]
    forehead = [(points[16, 0], brow - 0.2 * width), (x + 0.25 * width, brow - 0.38 * width)]
    forehead += [(x - 0.25 * width, brow - 0.38 * width), (points[0, 0], brow - 0.2 * width)]
    cv2.fillPoly(picture, [np.int32([*points[:17], *forehead])], (225, 185, 160))
    for eye in (points[36:42], points[42:48]):
        centre = eye.mean(0)
        ellipse(centre - (0, 0.03 * width), 0.14, 0.1, (185, 140, 120))
        cv2.fillPoly(picture, [eye], (245, 245, 245))
        ellipse(centre, 0.035, 0.035, (40, 30, 25))
        cv2.polylines(picture, [eye], True, (70, 45, 40), int(0.015 * width) + 1)
    lines = [(17, 22, 0.045, (70, 50, 40)), (22, 27, 0.045, (70, 50, 40))]
    lines += [(27, 31, 0.03, (200, 160, 135)), (31, 36, 0.025, (150, 100, 90))]
    for first, end, thick, colour in lines:
        cv2.polylines(picture, [points[first:end]], False, colour, int(thick * width))
    cv2.fillPoly(picture, [points[48:60]], (180, 90, 90))
    cv2.fillPoly(picture, [points[60:68]], (90, 30, 30))
    picture = cv2.GaussianBlur(picture, (0, 0), side / 160)
    small = cv2.resize(picture, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return (small * shade).astype(np.uint8)


def write_video(path: Path, pictures: Iterable[Picture]) -> None:
    """An MP4 of 25 frames a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 25, {"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        stream.time_base = Fraction(1, 25)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def write_media(folder: Path, face: np.ndarray) -> None:
    """Portraits, driving videos, short and long, and one without a face."""

    def moving(count: int, pace: float) -> Iterable[Picture]:
        for number in range(count):
            landmarks = face + (0.02 * np.sin(pace * number), 0)
            landmarks[[*range(55, 60), *range(65, 68), 8]] += (0, 0.02 * np.sin(number) ** 2)
            yield drawn_face(landmarks)

    folder.mkdir()
    for number in range(3):
        picture = drawn_face(face, 1 - 0.1 * number)
        cv2.imwrite(str(folder / f"p{number}.png"), picture[..., ::-1])
    write_video(folder / "d0.mp4", moving(8, 0.5))
    write_video(folder / "d1.mp4", moving(12, 0.8))
    write_video(folder / "long.mp4", moving(20, 0.3))
    write_video(folder / "nobody.mp4", [np.full((SIZE, SIZE, 3), 128, np.uint8)] * 8)


class Version:
    """The commands of a checkout, on the state in a folder.

    Args:
        checkout: the repository.
        root: the folder.
    """

    def __init__(self, checkout: Path, root: Path) -> None:
        self.checkout, self.root = checkout, root
        state = {"ANIMATOR_STATE_DIR": str(root / "state"), "PYTHONPATH": str(checkout)}
        kept = {name: os.environ[name] for name in os.environ if not name.startswith("ANIMATOR_")}
        self.environment = kept | ENVIRONMENT | state

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start ``python -m COMMAND``; what it says is in ``log``."""
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=self.checkout,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def json(self, *arguments: str) -> Any:
        """What a command of the animator prints with ``--json``."""
        command = [sys.executable, "-m", "animator", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=self.checkout, env=self.environment, stdout=subprocess.PIPE, check=True
        )
        return json.loads(done.stdout)

    def submit(self, name: str, driving: str, *options: str) -> str:
        """Submit a job and give its id."""
        media = self.root / "media"
        files = (str(media / "p0.png"), str(media / driving), "-o", str(self.root / f"{name}.mp4"))
        options = (*options, "--weights", "tiny", "--size", "128", "--no-wait", "--no-check")
        options += ("--priority", "high")  # before what is left of the data set
        job: str = self.json("submit", *files, *options)["id"]
        return job

    def kill(self) -> None:
        """Kill every process that works on the state, Redis excepted."""
        wanted = f"ANIMATOR_STATE_DIR={self.root / 'state'}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    if "redis" not in (folder / "comm").read_text():
                        os.kill(int(folder.name), signal.SIGKILL)
            except OSError:
                continue  # it has ended, or is not ours


def until(what: str, condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come about in {seconds} s")
        time.sleep(0.002)


def worker(old: Version) -> subprocess.Popen[bytes]:
    command = ("celery", "-A", "worker", "worker", "-c", "1", "--without-gossip")
    return old.start(*command, "--without-mingle", "-n", "before@%h")


def make_jobs(old: Version) -> dict[str, str]:
    """A job in every state; ids by what became of them."""
    ids = {"succeeded": old.submit("succeeded", "d0.mp4")}
    ids["failed"] = old.submit("failed", "nobody.mp4")
    ids["cancelled"] = old.submit("cancelled", "d0.mp4")
    old.json("cancel", ids["cancelled"])
    ids["interrupted"] = old.submit("interrupted", "long.mp4", *SMALL)
    running = worker(old)
    parts = f".interrupted.mp4.{ids['interrupted']}.parts/1/00001.npz"
    until("part of a video", lambda: [*old.root.glob(parts)])
    old.kill()
    running.wait()
    ids["waiting"] = old.submit("waiting", "d1.mp4")
    return ids


def make_data_set(old: Version) -> None:
    """A data set of six samples, of which two are in a shard, one is made and one begun."""
    run, media = old.root / "set", old.root / "media"
    found = ("--sources", f"{media}/p?.png", "--drivings", f"{media}/d?.mp4")
    calling = old.start("animator", "batch", *found, *BATCH, "--out", str(run))
    until("a shard", lambda: [*run.glob("shards/*.tar")])
    until("a sample of the next", lambda: [*run.glob("parts/00001/*.json")])
    until("half of another", lambda: [*run.glob("parts/00001/.p0--d1.*.parts/1/00001.npz")])
    old.kill()
    calling.wait()


def main(checkout: Path, archive: Path) -> None:
    ROOT.mkdir()
    sys.path.insert(0, str(checkout))
    import torch

    from gfla.checkpoint import to_published
    from tests.golden.faces import MEAN_FACE
    from tests.helpers import small_generator

    old = Version(checkout, ROOT)
    try:
        write_media(ROOT / "media", MEAN_FACE)
        torch.save(to_published(small_generator()), ROOT / "tiny_net_G.pth")
        old.json("weights", "import", str(ROOT / "tiny_net_G.pth"), "--name", "tiny")
        make_data_set(old)
        ids = make_jobs(old)
        told = {
            "libraries": {name: version(name) for name in LIBRARIES},
            "ids": ids,
            "jobs": old.json("list", "--limit", "0"),
            "weights": old.json("weights", "list"),
        }
        old.start("animator", "stop", "--force").wait()
        (ROOT / "told.json").write_text(json.dumps(told, indent=1))
        (ROOT / "tiny_net_G.pth").unlink()
        with tarfile.open(archive, "w:xz") as packed:
            packed.add(ROOT, ".", filter=lambda one: None if one.name == "./log" else one)
    finally:
        old.kill()
        shutil.rmtree(ROOT)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]))
