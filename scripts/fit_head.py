"""Fit the mean head of animator/faces/mean_head.py to the landmarks of face packs.

PACKS is a folder that scripts/prepare_clips.py wrote; its training split is taken. Depth is learned
from the people who turn their heads by at least 15 degrees, each compared with nobody but him- or
herself, so that the shapes of faces are not mistaken for depth; width and height are medians over
everybody.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from animator.faces.detectors.mean_face import MIRRORED

Floats = NDArray[np.float64]

TABLE = Path(__file__).parent.parent / "animator" / "faces" / "mean_head.py"
TURN, FRAMES, ROUNDS = 15.0, 60, 20
OUTER = [36, 45]
FIRM = np.full(68, 0.1)
FIRM[27:36], FIRM[[36, 39, 42, 45]], FIRM[48:], FIRM[:17] = 1.0, 1.0, 0.02, 0.02
"""Weights for the pose: the outline slides over a head that turns, and speech moves the mouth."""
FIRM /= FIRM.sum()


def main() -> None:
    """Read, fit, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=TABLE)
    options = parser.parse_args()
    people, licences = read(options.packs / "train")
    everybody = list(people.values())
    rough = factorise(everybody)
    rough[:, 2] /= 1.5  # of that order is what differences between people add to the depth
    turning = [
        chosen for person in everybody if (chosen := turned_frames(person, rough)) is not None
    ]
    head = rough
    for _ in range(3):
        head = refine_depth(head, turning)
        head = head * [1, 1, best_depth(head, turning)]
    head[:, :2] = flat_shape(head, everybody)
    # In units of half the distance of the outer eye corners, whose middle is the origin.
    half = (head[45, 0] - head[36, 0]) / 2
    head = (head - head[OUTER].mean(0)) / half
    frames = sum(map(len, everybody))
    print(f"{len(everybody)} people, {frames} frames; {len(turning)} turn by {TURN:g} degrees")
    print("licences:", ", ".join(f"{name} {n}" for name, n in licences.most_common()))
    print("nose tip, ear, chin:", head[30].round(2), head[16].round(2), head[8].round(2))
    options.output.write_text(written(head, len(everybody), frames, len(turning)))


def read(folder: Path) -> tuple[dict[str, Floats], Counter[str]]:
    """Landmarks N x 68 x 2 by person, and how many packs there are under each licence."""
    people: dict[str, list[Floats]] = {}
    licences: Counter[str] = Counter()
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as pack:
            about = json.loads(bytes(pack["meta"]))
            points = pack["landmarks"].astype(np.float64)
        licences[about["license"]] += 1
        # A face without a name is a person of its own.
        name = about["identity"] or path.name
        people.setdefault(name, []).append(centred(points))
    return {name: np.concatenate(parts) for name, parts in people.items()}, licences


def centred(points: Floats) -> Floats:
    """Points about the middle of the firm ones."""
    return points - np.einsum("p,...pk->...k", FIRM, points)[..., None, :]


def factorise(people: list[Floats]) -> Floats:
    """A first head 68 x 3 of all frames at once (Tomasi and Kanade 1992), up to its depth."""
    rng = np.random.default_rng(0)
    frames = np.concatenate([p[rng.permutation(len(p))[:20]] for p in people])
    frames = np.concatenate([frames, mirrored(frames)])
    size = np.sqrt(np.einsum("p,npk->n", FIRM, frames**2))
    rows = (frames / size[:, None, None]).transpose(0, 2, 1).reshape(-1, 68)
    left, sizes, right = np.linalg.svd(rows * np.sqrt(FIRM), full_matrices=False)
    motion, shape = left[:, :3] * sizes[:3], right[:3] / np.sqrt(FIRM)
    # The metric Q, under which the two rows of every frame are of one length and at right angles.
    a, b = motion[0::2], motion[1::2]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]

    def terms(u: Floats, v: Floats) -> Floats:
        return np.stack(
            [(u[:, i] * v[:, j] + u[:, j] * v[:, i]) / (1 + (i == j)) for i, j in pairs], 1
        )

    conditions = np.concatenate([terms(a, a) - terms(b, b), 2 * terms(a, b)])
    length = terms(a, a).mean(0) + terms(b, b).mean(0)
    solution = np.linalg.solve(conditions.T @ conditions, length)
    metric = np.zeros((3, 3))
    for (i, j), value in zip(pairs, solution / (length @ solution), strict=True):
        metric[i, j] = metric[j, i] = value
    values, axes = np.linalg.eigh(metric)
    head = np.linalg.solve(axes * np.sqrt(np.maximum(values, 1e-9)), shape).T
    return upright(head, frames)


def upright(head: Floats, frames: Floats) -> Floats:
    """The head turned to how it is seen on the average, made symmetric; z away from the camera."""
    _, rotation = fit(head, frames)
    left, _, right = np.linalg.svd(rotation.mean(0), full_matrices=False)
    across = left @ right
    head = head @ np.concatenate([across, np.cross(across[:, 0], across[:, 1])[:, None]], 1)
    # Depth may come out inside out: the nose is nearer than the eyes.
    head[:, 2] *= -np.sign(head[30, 2] - head[OUTER, 2].mean())
    return symmetric(centred(head))


def fit(head: Floats, frames: Floats) -> tuple[Floats, Floats]:
    """Scales N and projections N x 3 x 2 that bring a head to frames."""
    weighted = head * FIRM[:, None]
    linear = np.einsum("ij,njk->nik", np.linalg.inv(weighted.T @ head) @ weighted.T, frames)
    left, _, right = np.linalg.svd(linear, full_matrices=False)
    rotation = left @ right
    seen = head @ rotation
    scale = np.einsum("npk,p,npk->n", seen, FIRM, frames)
    return scale / np.einsum("npk,p,npk->n", seen, FIRM, seen), rotation


def turned_frames(person: Floats, head: Floats) -> Floats | None:
    """Frames of a person, evenly over the angles to the side; None if these are too few."""
    _, rotation = fit(head, person)
    ahead = np.cross(rotation[:, :, 0], rotation[:, :, 1])
    yaw = np.degrees(np.arctan2(ahead[:, 0], ahead[:, 2]))
    if np.ptp(np.percentile(yaw, [2, 98])) < TURN:
        return None
    wanted = np.linspace(yaw.min(), yaw.max(), FRAMES)
    return person[np.unique(np.abs(yaw[:, None] - wanted).argmin(0))]


def own_plane(head: Floats, person: Floats, rounds: int) -> tuple[Floats, Floats, Floats, Floats]:
    """A person's own width and height with a head's depth; scales, projections, residuals."""
    for _ in range(rounds):
        scale, rotation = fit(head, person)
        flat, deep = rotation[:, :2], rotation[:, 2]
        rest = person - scale[:, None, None] * head[:, 2][:, None] * deep[:, None]
        matrix = np.einsum("n,nik,njk->ij", scale**2, flat, flat)
        wanted = np.einsum("n,npk,nik->pi", scale, rest, flat)
        head = centred(np.concatenate([wanted @ np.linalg.inv(matrix), head[:, 2:]], 1))
    scale, rotation = fit(head, person)
    return head, scale, rotation, person / scale[:, None, None] - head @ rotation


def refine_depth(head: Floats, people: list[Floats]) -> Floats:
    """The same head with the depths by which the points of turning heads move."""
    for _ in range(ROUNDS):
        gain, weight = np.zeros(68), np.zeros(68)
        for person in people:
            own, _, rotation, rest = own_plane(head, person, 3)
            half = (own[45, 0] - own[36, 0]) / 2
            rest = (rest - rest.mean(0)) / half
            turn = rotation[:, 2] - rotation[:, 2].mean(0)
            belief = 1 / (1 + (rest**2).sum(-1) / 0.05**2)
            gain += half * np.einsum("np,npk,nk->p", belief, rest, turn)
            weight += np.einsum("np,nk->p", belief, turn**2)
        head = symmetric(centred(head + [0, 0, 0.7] * (gain / weight)[:, None]))
    return head


def best_depth(head: Floats, people: list[Floats]) -> float:
    """The factor of the depth at which the firm points of turning heads are explained best.

    Narrower by turning and moved by depth: only together they tell the depth of a whole head, and
    the steps of `refine_depth` find that slowly.
    """
    factors = np.linspace(0.7, 1.2, 11)
    errors = np.zeros(len(factors))
    for number, factor in enumerate(factors):
        for person in people:
            own, _, _, rest = own_plane(head * [1, 1, factor], person, 15)
            half = (own[45, 0] - own[36, 0]) / 2
            # As good as it gets, people count alike.
            errors[number] += np.log(np.einsum("npk,p->", rest**2, FIRM) / len(person) / half**2)
    best = int(np.clip(errors.argmin(), 1, len(factors) - 2))
    before, here, after = errors[best - 1 : best + 2]
    return float(
        factors[best]
        + (factors[1] - factors[0]) * (before - after) / 2 / (before - 2 * here + after)
    )


def flat_shape(head: Floats, people: list[Floats]) -> Floats:
    """Width and height 68 x 2: medians over people, each seen from the front."""
    shapes = []
    for person in people:
        own, *_ = own_plane(head, person[:: max(1, len(person) // FRAMES)], 5)
        half = (own[45, 0] - own[36, 0]) / 2
        shapes.append(own[:, :2] / half)
    half = (head[45, 0] - head[36, 0]) / 2
    shape = np.median(shapes, 0) * half
    return (shape + shape[MIRRORED] * [-1, 1]) / 2


def mirrored(points: Floats) -> Floats:
    """Faces in a mirror."""
    return points[..., MIRRORED, :] * np.array([-1, 1, 1])[: points.shape[-1]]


def symmetric(head: Floats) -> Floats:
    """The mean of a head and its mirror image."""
    return (head + mirrored(head)) / 2


def written(head: Floats, people: int, frames: int, turning: int) -> str:
    """The table as Python."""
    cells = [f"({x:.3f}, {y:.3f}, {z:.3f})".replace("-0.000", "0.000") for x, y, z in head]
    rows = "\n".join(f"        {', '.join(cells[i : i + 3])}," for i in range(0, 68, 3))
    return f'''"""The 68 landmarks of the mean head in space; made by scripts/fit_head.py."""

from __future__ import annotations

import numpy as np

# fmt: off
MEAN_HEAD = np.array(
    [
{rows}
    ]
)
# fmt: on
"""68 x 3: x to the right of the picture, y down, z away from the camera, in units of half the
distance of the outer eye corners (about 45 mm), from the middle between these. Fitted to {frames:,}
frames of {people} people, the depth to the {turning} who turn their heads, and made symmetric."""
'''


if __name__ == "__main__":
    main()
