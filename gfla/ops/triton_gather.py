"""The local gather as one fused Triton kernel each way.

``gfla.ops.local_attention.gather`` says what is computed. Here nothing but the result is written to
memory: every program takes a block of target locations, works out their (k + 1)^2 merged taps in
registers and adds up the source rows. The way back computes the gradients of source (atomic
additions, so the order of summation varies between runs), weights and flow in one pass.

The kernels are wrapped as PyTorch operators, so ``torch.compile`` and CUDA graphs take them whole.
Imported only when the backend is chosen: Triton need not be installed.
"""

# Triton's language has types of its own, which its functions do not declare.
# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK_LOCATIONS = 16
MAX_BLOCK_CHANNELS = 128


# Conventions: positions in source pixels, the centre of pixel 0 at 0; taps row by row.
@triton.jit
def _axis(flow, at, live, base, size, REACH: tl.constexpr, POSITION: tl.constexpr):
    """One coordinate of the flowed positions: its integer part, fraction, and if it may move."""
    position = tl.load(flow + at, mask=live, other=0.0).to(POSITION) + base.to(POSITION)
    inside = (position >= -REACH) & (position <= size + REACH)
    # NaN stays NaN; infinities and far positions see border pixels alone, like these limits.
    position = tl.where(position < -REACH, -REACH, position)
    position = tl.where(position > size + REACH, size + REACH, position)
    corner = tl.floor(position)
    return corner.to(tl.int32), position - corner, inside


@triton.jit
def _share(step, fraction):
    """Bilinear share of an axis: how much of an attention weight falls on each tap."""
    return tl.where(step == 0, 1 - fraction, tl.where(step == 1, fraction, 0.0))


@triton.jit
def _slope(step):
    """The derivative of ``_share`` by the fraction."""
    return tl.where(step == 0, -1.0, tl.where(step == 1, 1.0, 0.0))


@triton.jit
def _row(x, y, tap, batch, height, width, K: tl.constexpr):
    """The row of the source table under a tap, its position clamped to the map."""
    column = tl.minimum(tl.maximum(x + tap % (K + 1) - K // 2, 0), width - 1)
    line = tl.minimum(tl.maximum(y + tap // (K + 1) - K // 2, 0), height - 1)
    return (batch * height + line) * width + column


@triton.jit
def _locate(
    flow, weights, locations, plane, out_width, height, width,
    K: tl.constexpr, AREA: tl.constexpr, POSITION: tl.constexpr, ARITHMETIC: tl.constexpr,
    BLOCK_L: tl.constexpr,
):  # fmt: skip
    """What both ways need of a block of locations.

    Returns the locations' own indices and their pictures', which locations exist; for x and y the
    corners, the fractions and whether the flow moves them; where their flows and attention weights
    lie, which of those weights are no padding, and the weights.
    """
    # Locations of all pictures in a row; beyond the last one nothing is read or written.
    at = tl.program_id(0) * BLOCK_L + tl.arange(0, BLOCK_L)
    live = at < locations
    batch, pixel = (at // plane).to(tl.int64), at % plane
    flow_at = batch * 2 * plane + pixel
    reach: tl.constexpr = 2 * K * K
    x, fx, moves_x = _axis(flow, flow_at, live, pixel % out_width, width, reach, POSITION)
    y, fy, moves_y = _axis(flow, flow_at + plane, live, pixel // out_width, height, reach, POSITION)
    fx, fy = fx.to(ARITHMETIC)[:, None], fy.to(ARITHMETIC)[:, None]
    # AREA is the next power of 2 above K * K, as Triton's blocks are; the rest is masked.
    position = tl.arange(0, AREA)[None, :]
    weights_at = (batch * K * K * plane + pixel)[:, None] + position * plane
    known = live[:, None] & (position < K * K)
    attention = tl.load(weights + weights_at, mask=known, other=0.0).to(ARITHMETIC)
    at = at.to(tl.int64)
    return at, batch, live, x, y, fx, fy, moves_x, moves_y, flow_at, weights_at, known, attention


@triton.jit
def _forward(
    table, flow, weights, out,
    locations, plane, out_width, height, width, channels,
    K: tl.constexpr, AREA: tl.constexpr, POSITION: tl.constexpr, ARITHMETIC: tl.constexpr,
    BLOCK_L: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    at, batch, live, x, y, fx, fy, _, _, _, _, _, attention = _locate(
        flow, weights, locations, plane, out_width, height, width,
        K, AREA, POSITION, ARITHMETIC, BLOCK_L,
    )  # fmt: skip
    position = tl.arange(0, AREA)[None, :]
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)[None, :]
    mask = live[:, None] & (channel < channels)
    total = tl.zeros((BLOCK_L, BLOCK_C), ARITHMETIC)
    # A tap's weight is the attention of the up to four positions whose samples it is part of.
    for tap in range((K + 1) * (K + 1)):
        share_x = _share(tap % (K + 1) - position % K, fx)
        share_y = _share(tap // (K + 1) - position // K, fy)
        weight = tl.sum(attention * share_x * share_y, 1)
        row = _row(x, y, tap, batch, height, width, K)[:, None]
        value = tl.load(table + row * channels + channel, mask=mask, other=0.0)
        total += weight[:, None] * value.to(ARITHMETIC)
    tl.store(out + at[:, None] * channels + channel, total, mask=mask)


@triton.jit
def _backward(
    grad, table, flow, weights, grad_table, grad_flow, grad_weights,
    locations, plane, out_width, height, width, channels,
    K: tl.constexpr, AREA: tl.constexpr, POSITION: tl.constexpr, ARITHMETIC: tl.constexpr,
    BLOCK_L: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    at, batch, live, x, y, fx, fy, moves_x, moves_y, flow_at, weights_at, known, attention = (
        _locate(
            flow, weights, locations, plane, out_width, height, width,
            K, AREA, POSITION, ARITHMETIC, BLOCK_L,
        )
    )  # fmt: skip
    position = tl.arange(0, AREA)[None, :]
    by_weight = tl.zeros((BLOCK_L, AREA), ARITHMETIC)
    by_x = tl.zeros((BLOCK_L,), ARITHMETIC)
    by_y = tl.zeros((BLOCK_L,), ARITHMETIC)
    grad_at = at[:, None] * channels
    for tap in range((K + 1) * (K + 1)):
        step_x, step_y = tap % (K + 1) - position % K, tap // (K + 1) - position // K
        share_x, share_y = _share(step_x, fx), _share(step_y, fy)
        weight = tl.sum(attention * share_x * share_y, 1)[:, None]
        row = _row(x, y, tap, batch, height, width, K)[:, None] * channels
        agreement = tl.zeros((BLOCK_L,), ARITHMETIC)
        # Of each tap: its gradient, and how well source and arriving gradient agree there.
        for start in range(0, channels, BLOCK_C):
            channel = start + tl.arange(0, BLOCK_C)[None, :]
            mask = live[:, None] & (channel < channels)
            arriving = tl.load(grad + grad_at + channel, mask=mask, other=0.0).to(ARITHMETIC)
            value = tl.load(table + row + channel, mask=mask, other=0.0).to(ARITHMETIC)
            agreement += tl.sum(arriving * value, 1)
            tl.atomic_add(grad_table + row + channel, weight * arriving, mask=mask, sem="relaxed")
        # Attention weights, and the flow through the bilinear shares' slopes.
        by_weight += agreement[:, None] * share_x * share_y
        by_x += agreement * tl.sum(attention * _slope(step_x) * share_y, 1)
        by_y += agreement * tl.sum(attention * share_x * _slope(step_y), 1)
    tl.store(grad_weights + weights_at, by_weight, mask=known)
    # A position held at its limit does not follow the flow.
    tl.store(grad_flow + flow_at, tl.where(moves_x, by_x, 0.0), mask=live)
    tl.store(grad_flow + flow_at + plane, tl.where(moves_y, by_y, 0.0), mask=live)


@torch.library.custom_op("gfla::local_gather", mutates_args=())
def local_gather(table: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums over flowed neighbourhoods, channels last.

    Args:
        table: B H W C, the source.
        flow: B 2 h w in source pixels, (x, y).
        weights: B k*k h w, row by row.

    Returns:
        B h w C in the type of ``table``; sums are float32, float64 for a float64 table.
    """
    table, flow, weights = table.contiguous(), flow.contiguous(), weights.contiguous()
    batch, height, width = weights.shape[0], *weights.shape[2:]
    out = table.new_empty(batch, height, width, table.shape[3])
    settings = _settings(table, flow, weights)
    grid = (
        triton.cdiv(batch * height * width, BLOCK_LOCATIONS),
        triton.cdiv(table.shape[3], settings["BLOCK_C"]),
    )
    with torch.cuda.device_of(table):
        _forward[grid](table, flow, weights, out, *_sizes(table, weights), **settings)
    return out


@torch.library.custom_op("gfla::local_gather_backward", mutates_args=())
def local_gather_backward(
    grad: Tensor, table: Tensor, flow: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of ``table``, ``flow`` and ``weights`` from that of the result (B h w C)."""
    grad, table, flow, weights = (t.contiguous() for t in (grad, table, flow, weights))
    wide = torch.float64 if table.dtype == torch.float64 else torch.float32
    # Atomic additions in half precision would lose what is small.
    grad_table = torch.zeros_like(table, dtype=wide)
    grad_flow, grad_weights = torch.empty_like(flow), torch.empty_like(weights)
    grid = (triton.cdiv(flow.numel() // 2, BLOCK_LOCATIONS),)
    with torch.cuda.device_of(table):
        _backward[grid](
            grad, table, flow, weights, grad_table, grad_flow, grad_weights,
            *_sizes(table, weights), **_settings(table, flow, weights),
        )  # fmt: skip
    return grad_table.to(table.dtype), grad_flow, grad_weights


def _sizes(table: Tensor, weights: Tensor) -> tuple[int, ...]:
    """locations, plane, out_width, height, width, channels of the kernels."""
    batch, _, out_height, out_width = weights.shape
    plane = out_height * out_width
    return (batch * plane, plane, out_width, *table.shape[1:])


def _settings(table: Tensor, flow: Tensor, weights: Tensor) -> dict[str, Any]:
    """The kernels' compile-time constants."""
    area = weights.shape[1]
    return {
        "K": round(area**0.5),
        "AREA": triton.next_power_of_2(area),
        "POSITION": tl.float64 if flow.dtype == torch.float64 else tl.float32,
        "ARITHMETIC": tl.float64 if table.dtype == torch.float64 else tl.float32,
        "BLOCK_L": BLOCK_LOCATIONS,
        "enable_fp_fusion": True,  # Triton's default, which it warns of unless it is said
        "BLOCK_C": min(triton.next_power_of_2(table.shape[3]), MAX_BLOCK_CHANNELS),
    }


@local_gather.register_fake
def _(table: Tensor, flow: Tensor, weights: Tensor) -> Tensor:
    return table.new_empty(weights.shape[0], *weights.shape[2:], table.shape[3])


@local_gather_backward.register_fake
def _(grad: Tensor, table: Tensor, flow: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return (
        table.new_empty(table.shape),
        flow.new_empty(flow.shape),
        weights.new_empty(weights.shape),
    )


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor] = local_gather_backward(grad, *ctx.saved_tensors)
    return gradients


local_gather.register_autograd(_gradients, setup_context=_remember)
