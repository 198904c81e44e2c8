"""Regions of a face, mouth and eyes: aligned crops, geometry maps, and the way back (ours).

A region's crop is aligned with the face by a similarity (place, roll and size, and a mirror for the
left eye), so that a mouth lies in its crop alike in every picture. All units are those of a square
picture, 0 to 1 from edge to edge; within a crop they are -1 to 1 from edge to edge, (x, y).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from gfla.ops.ranges import smooth_step

_SMALLEST = 1e-4
"""Least length of a side in units of the picture, so that a face without size has a crop, too."""
_LEVEL = 1e-7
_NOSE = 1.45
"""Distance from the eyes to the nose's base by which a turned head's size is told."""


@dataclass(frozen=True)
class Region:
    """A part of a face that its opening decides the look of.

    Attributes:
        name: for people.
        height: of the crop, pixels.
        width: of the crop, pixels.
        span: width of the crop in sizes of the face.
        upper: landmarks of the opening's upper edge, from the crop's left to its right.
        lower: of its lower edge; both share their ends.
        around: further lines that shape the region: the outer lips, or the brow.
        centre: landmarks whose mean is the crop's centre.
        mirrored: whether the crop is a mirrored one.
        unit: pixels of the crop that count as 1 in the maps of distances.
        reach: pixels around the opening that may be drawn anew.
        soft: pixels of its soft edge, within ``reach``.
        same: openings of source and target that differ by up to this are the same, in sizes of the
            face.
        other: those that differ by so much are others altogether.
    """

    name: str
    height: int
    width: int
    span: float
    upper: tuple[int, ...]
    lower: tuple[int, ...]
    around: tuple[tuple[int, ...], ...]
    centre: tuple[int, ...]
    mirrored: bool
    unit: float
    reach: float
    soft: float
    same: float
    other: float

    @property
    def lines(self) -> tuple[tuple[int, ...], ...]:
        """Landmarks of all lines: upper and lower edge, then those around."""
        return (self.upper, self.lower, *self.around)

    @property
    def maps(self) -> int:
        """Channels of ``geometry``."""
        return 2 + len(self.lines)


MOUTH = Region(
    name="mouth",
    height=64,
    width=80,
    span=1.45,
    upper=(60, 61, 62, 63, 64),
    lower=(60, 67, 66, 65, 64),
    around=((48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)),
    centre=tuple(range(48, 60)),
    mirrored=False,
    unit=16.0,
    reach=7.0,
    soft=5.0,
    same=0.005,
    other=0.03,
)
RIGHT_EYE = Region(
    name="right eye",
    height=40,
    width=48,
    span=0.8,
    upper=(36, 37, 38, 39),
    lower=(36, 41, 40, 39),
    around=((17, 18, 19, 20, 21),),
    centre=(36, 39),
    mirrored=False,
    unit=10.0,
    reach=9.0,
    soft=6.0,
    same=0.005,
    other=0.03,
)
LEFT_EYE = replace(
    RIGHT_EYE,
    name="left eye",
    upper=(45, 44, 43, 42),
    lower=(45, 46, 47, 42),
    around=((26, 25, 24, 23, 22),),
    centre=(45, 42),
    mirrored=True,
)
REGIONS = (MOUTH, RIGHT_EYE, LEFT_EYE)
"""The left eye is a mirrored right one."""


@dataclass(frozen=True)
class Alignment:
    """Where a crop lies in a picture.

    Attributes:
        centre: B 2, units of the picture.
        across: B 2, from the centre to the middle of the crop's right edge.
        down: B 2, from the centre to the middle of its lower edge.
    """

    centre: Tensor
    across: Tensor
    down: Tensor

    def outwards(self, places: Tensor) -> Tensor:
        """Places B N 2 or 1 N 2 in a crop as places B N 2 in its picture."""
        # The axes are half sides, so -1 and 1 are the crop's edges.
        x, y = places[..., :1], places[..., 1:]
        return self.centre[:, None] + x * self.across[:, None] + y * self.down[:, None]

    def inwards(self, places: Tensor) -> Tensor:
        """Places B N 2 or 1 N 2 in the picture as places B N 2 in its crop."""
        offset = places - self.centre[:, None]
        # Both axes are at right angles, so projecting on each undoes ``outwards``.
        axes = [axis / axis.square().sum(-1, keepdim=True) for axis in (self.across, self.down)]
        return torch.stack([(offset * axis[:, None]).sum(-1) for axis in axes], -1)

    def wider(self, factor: float) -> Alignment:
        """The same with sides longer by a factor."""
        return Alignment(self.centre, factor * self.across, factor * self.down)

    def moved(self, by: Tensor) -> Alignment:
        """The same moved by B 4: shift in x and y in a crop's units, log zoom, radians of roll."""
        zoom, roll = by[:, 2:3].exp(), by[:, 3:]
        centre = self.centre + by[:, :1] * self.across + by[:, 1:2] * self.down
        across, down = (
            zoom * (roll.cos() * axis + roll.sin() * torch.stack([-axis[:, 1], axis[:, 0]], 1))
            for axis in (self.across, self.down)
        )
        return Alignment(centre, across, down)


def face_size(landmarks: Tensor) -> Tensor:
    """The size of faces B 68 2: B 1, in the landmarks' unit.

    The distance of the eyes' centres, or in a turned head that of the nose's base from them.
    """
    # iBUG: right eye 36-41, left eye 42-47, as the person has them; 33 is the nose's base.
    right, left = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
    eyes = (left - right).norm(dim=-1, keepdim=True)
    nose = (landmarks[:, 33] - (left + right) / 2).norm(dim=-1, keepdim=True)
    return torch.maximum(eyes, _NOSE * nose).clamp(min=_SMALLEST)


def align(region: Region, landmarks: Tensor) -> Alignment:
    """The crop of a region in pictures with landmarks B 68 2."""
    right, left = landmarks[:, 36:42].mean(1), landmarks[:, 42:48].mean(1)
    # A face without size is level.
    along = torch.stack([(left - right)[:, 0] + _LEVEL, (left - right)[:, 1]], -1)
    along = along / along.norm(dim=-1, keepdim=True).clamp(min=_LEVEL)
    below = torch.stack([-along[:, 1], along[:, 0]], -1)
    half = face_size(landmarks) * (region.span / 2)
    centre = torch.stack([landmarks[:, index] for index in region.centre], 1).mean(1)
    across = -along if region.mirrored else along
    return Alignment(centre, half * across, half * (region.height / region.width) * below)


def novelty(region: Region, landmarks: Tensor, known: Tensor) -> Tensor:
    """How far a region is open otherwise than in the source: B, 0 to 1.

    Where it is not, the source itself shows what there is to see, and shows it best.

    Args:
        region: of the face.
        landmarks: B 68 2 of the frames.
        known: B 68 2 of the sources.
    """
    openings = [_opening(region, points) for points in (landmarks, known)]
    change = (openings[0] - openings[1]).abs()
    return smooth_step(((change - region.same) / (region.other - region.same)).clamp(0, 1))


def _opening(region: Region, landmarks: Tensor) -> Tensor:
    """Mean distance of upper and lower edge, in sizes of the face: B."""
    pairs = zip(region.upper[1:-1], region.lower[1:-1], strict=True)
    gaps = [(landmarks[:, a] - landmarks[:, b]).norm(dim=-1) for a, b in pairs]
    return torch.stack(gaps, 1).mean(1) / face_size(landmarks)[:, 0]


def grid_of(height: int, width: int, like: Tensor) -> Tensor:
    """Places of a crop's pixels, 1 (H W) 2 in -1..1, row by row."""
    # Centres of pixels: the first lies half a pixel, 1 / width, inside the edge at -1.
    xs = (2 * torch.arange(width, device=like.device, dtype=like.dtype) + 1) / width - 1
    ys = (2 * torch.arange(height, device=like.device, dtype=like.dtype) + 1) / height - 1
    return torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], -1).view(
        1, -1, 2
    )


def crop(picture: Tensor, alignment: Alignment, height: int, width: int) -> Tensor:
    """The crop of pictures B C S S (bilinear, the border continued): B C height width."""
    places = alignment.outwards(grid_of(height, width, alignment.centre))
    # From the picture's 0..1 to the -1..1 of grid_sample, edge to edge both.
    return look_up(picture, 2 * places - 1, height, width)


def look_up(maps: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """Maps B C H W at places B (height width) 2 in -1..1 from edge to edge."""
    # align_corners=False: -1 and 1 are edges, as everywhere in this module.
    grid = places.view(-1, height, width, 2).to(maps.dtype)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


def paste(picture: Tensor, changes: Sequence[tuple[Tensor, Alignment]]) -> Tensor:
    """Add crops' changes B C h w, zero at their borders, to pictures B C S S where they belong."""
    result, side = picture.clone(), picture.shape[-1]
    for change, alignment in changes:
        # On the CPU only the part of the picture that the crop covers is looked at.
        whole = (0, side, 0, side)
        fixed = picture.is_cuda or torch.compiler.is_compiling()
        top, bottom, left, right = whole if fixed else _covered(alignment, side)
        height, width = bottom - top, right - left
        like = alignment.centre
        # Every pixel's centre, in units of the picture, as a place in the crop.
        xs = (torch.arange(left, right, device=like.device, dtype=like.dtype) + 0.5) / side
        ys = (torch.arange(top, bottom, device=like.device, dtype=like.dtype) + 0.5) / side
        places = torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], -1)
        grid = alignment.inwards(places.view(1, -1, 2)).view(-1, height, width, 2)
        result[..., top:bottom, left:right] += F.grid_sample(
            change, grid.to(change.dtype), mode="bilinear", padding_mode="zeros",
            align_corners=False,
        )  # fmt: skip
    return result


def _covered(alignment: Alignment, side: int) -> tuple[int, int, int, int]:
    """Rows and columns of pictures that crops cover, as two ranges; at least a pixel.

    It takes numbers from the tensors, which neither CUDA graphs nor compiled steps can: there whole
    pictures are looked at.
    """
    reach = alignment.across.abs() + alignment.down.abs()
    low = ((alignment.centre - reach).amin(0) * side).floor().clamp(0, side - 1)
    high = ((alignment.centre + reach).amax(0) * side).ceil().clamp(1, side)
    (left, top), (right, bottom) = low.long().tolist(), high.long().tolist()
    return top, max(bottom, top + 1), left, max(right, left + 1)


@dataclass(frozen=True)
class Geometry:
    """What the landmarks say of every pixel of a crop.

    Attributes:
        maps: B M h w: whether it lies within the opening; distances below its upper and above its
            lower edge; distances below the further lines; place between its corners, -1 to 1.
        opening: B 1 h w, 0 to 1, the inside alone.
        gate: B 1 h w, 0 to 1, what may be drawn anew.
    """

    maps: Tensor
    opening: Tensor
    gate: Tensor


def geometry(region: Region, landmarks: Tensor, alignment: Alignment) -> Geometry:
    """Geometry of a region's crop from landmarks B 68 2 of its picture."""
    return geometry_of(region, placed(region, landmarks, alignment))


def placed(region: Region, landmarks: Tensor, alignment: Alignment) -> Tensor:
    """The landmarks that shape a region, ``Region.lines`` in a row: B P 2 in units of its crop."""
    # One by one: CUDA graphs cannot take in a list of indices, which comes from the host.
    points = [landmarks[:, index] for line in region.lines for index in line]
    return alignment.inwards(torch.stack(points, 1))


def geometry_of(region: Region, points: Tensor) -> Geometry:
    """Geometry of crops from what ``placed`` gives for them; both eyes may be one batch."""
    height, width = region.height, region.width
    # From -1..1, edge to edge, to pixels of the crop, whose centres are whole numbers.
    x = (points[..., 0] + 1) * (width / 2) - 0.5
    y = (points[..., 1] + 1) * (height / 2) - 0.5
    columns = torch.arange(width, device=x.device, dtype=x.dtype)
    rows = torch.arange(height, device=x.device, dtype=x.dtype).view(1, height, 1)
    counts = [len(line) for line in region.lines]
    parts = zip(x.split(counts, 1), y.split(counts, 1), strict=True)
    # How far every pixel is below each line.
    below = [rows - _line(*line, columns)[:, None] for line in parts]

    # Inside is below the upper edge, above the lower one and between the corners: depth in pixels.
    begin, end = x[:, :1], x[:, counts[0] - 1, None]
    within = torch.minimum(columns - begin, end - columns)[:, None]
    depth = torch.minimum(torch.minimum(below[0], -below[1]), within)
    across = (2 * columns - begin - end) / (end - begin).clamp(min=1.0)
    # Anti-aliased: a pixel whose centre lies on the edge is half inside.
    opening = (depth + 0.5).clamp(0, 1)
    distances = torch.stack([below[0], -below[1], *below[2:]], 1) / region.unit
    sideways = across[:, None, None].expand(-1, 1, height, -1)
    maps = torch.cat([opening[:, None], distances, sideways], 1).clamp(-1.5, 1.5)

    # The gate opens ``reach`` pixels outside of the opening, and shuts before the crop ends.
    gate = ((depth + region.reach) / region.soft).clamp(0, 1)
    rim = torch.minimum(
        torch.minimum(rows, height - 1 - rows), torch.minimum(columns, width - 1 - columns)
    )
    border = (rim / region.soft).clamp(0, 1)
    return Geometry(maps, opening[:, None], (smooth_step(gate) * border)[:, None])


def _line(x: Tensor, y: Tensor, columns: Tensor) -> Tensor:
    """Height above every column of a line through points B P, level beyond its ends: B W.

    Where a line turns back, as in a profile, its pieces are as steep as a pixel allows.
    """
    runs, rises = x.diff(dim=1).clamp(min=1.0), y.diff(dim=1)
    shares = ((columns - x[:, :-1, None]) / runs[..., None]).clamp(0, 1)
    return y[:, :1] + (shares * rises[..., None]).sum(1)
