"""The projection by spreading on an oversampled grid and one FFT, for the GPU.

The fine grid is cut into tiles that stay on the chip, the Gaussians into blocks that are compact
in space. One program owns a tile and adds every block that reaches it as a product of two small
matrices, exp(−dy²/2σ²) and exp(−dx²/2σ²); blocks that do not reach it are passed over. Nothing
is added by two programs, so results repeat bit for bit. Memory is one fine grid per image.
"""

from dataclasses import dataclass
from typing import Any, no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging.fine_grid import FineGrid, fine_grid_for, transform_from_box, transform_to_box
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.placement import place_gaussians

TILE = 32  # pixels of an edge
BLOCK = 32  # Gaussians
_GROUP = 128  # blocks, or tiles, whose overlap is decided at once
_WARPS = 2  # more would compute the same entries of a small product twice


def project_gaussians_triton(
    model: GaussianModel, poses: Poses, grid: FourierGrid, *, tolerance: float = 1e-3
) -> Complex[Tensor, "particles rows columns"]:
    """Fourier transform of the line integral of `model` seen from each pose.

    Same meaning as `project_gaussians_reference`; single precision, differentiable once. The
    host never waits for the device.

    Parameters
    ----------
    model
        One model for all poses, or one per pose.
    poses
        P placements.
    grid
        Sampling of the images.
    tolerance
        Bound of the relative error per ring up to 0.9 of Nyquist, 1e-4 to 0.1.

    Raises
    ------
    ValueError
        If `model` is not in single precision, or `tolerance` is out of bounds.
    """
    if model.center.dtype != torch.float32:
        raise ValueError(f"the GPU kernel computes in float32, got {model.center.dtype}")
    fine = fine_grid_for(grid, tolerance)
    placed = place_gaussians(model, poses, grid)
    order = _compact_order(model)
    return _Projection.apply(placed.x, placed.y, placed.mass, placed.width, order, grid, fine)


def _compact_order(model: GaussianModel) -> Int[Tensor, "gaussians"]:
    """An order in which neighbours in the list are neighbours in space: along a Morton curve.

    That of the first model serves all, since those of one molecule differ by small motions.
    """
    center = model.center.detach()
    if not center.numel():
        return torch.arange(len(model), device=center.device)
    if center.ndim == 3:
        center = center[0]
    bit = torch.arange(8, device=center.device)
    axis = torch.arange(3, device=center.device)
    offset = center - center.amin(0)
    cell = (offset / offset.max().clamp(min=1e-6) * 255).int()
    digit = ((cell[:, :, None] >> bit) & 1) << (3 * bit + axis[:, None])
    return digit.sum((1, 2)).argsort(stable=True)


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Gaussians in units of fine pixels, `BLOCK` side by side, and where each block reaches.

    Attributes
    ----------
    gaussian
        x, y, log₂e / 2σ² and the peak; a block that is not full ends with peaks of 0.
    bounds
        Middle and half extent in x, the same in y, and how many periods away from the
        nearest image of the grid a Gaussian still counts.
    """

    gaussian: Float[Tensor, "particles 4 padded"]
    bounds: Float[Tensor, "particles 5 blocks"]


class _Projection(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        y: Tensor,
        mass: Tensor,
        width: Tensor,
        order: Tensor,
        grid: FourierGrid,
        fine: FineGrid,
    ) -> Tensor:
        widening = fine.widening(width)
        with torch.cuda.device_of(x):
            blocks = _pack_blocks(x, y, mass, width, widening, order, fine)
            image = _spread_blocks(blocks, fine.size)
        ctx.save_for_backward(width, widening, order, blocks.gaussian, blocks.bounds)
        ctx.grid, ctx.fine = grid, fine
        return transform_to_box(image, widening, grid)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient_ft: Tensor) -> tuple[Tensor | None, ...]:
        width, widening, order, gaussian, bounds = ctx.saved_tensors
        gradient = transform_from_box(gradient_ft, widening, ctx.grid, ctx.fine)
        with torch.cuda.device_of(gradient):
            by_x, by_y, by_mass, by_variance = _gather_blocks(
                _Blocks(gaussian, bounds), gradient, order, ctx.fine
            )
        return by_x, by_y, by_mass, 2 * width * by_variance, None, None, None


def _pack_blocks(
    x: Float[Tensor, "particles gaussians"],
    y: Float[Tensor, "particles gaussians"],
    mass: Float[Tensor, "particles gaussians"],
    width: Float[Tensor, "particles gaussians"],
    widening: Float[Tensor, "particles"],
    order: Int[Tensor, "gaussians"],
    fine: FineGrid,
) -> _Blocks:
    particles, gaussians = x.shape
    blocks = triton.cdiv(gaussians, BLOCK)
    packed = _Blocks(x.new_empty(particles, 4, blocks * BLOCK), x.new_empty(particles, 5, blocks))
    if x.numel():
        _pack[(particles * blocks,)](
            x.contiguous(), y.contiguous(), mass.contiguous(), width.contiguous(), widening, order,
            packed.gaussian, packed.bounds, gaussians, blocks, fine.size, fine.pixel_size,
            fine.window, block=BLOCK, num_warps=1,
        )  # fmt: skip
    return packed


def _spread_blocks(blocks: _Blocks, size: int) -> Float[Tensor, "particles size size"]:
    particles, _, count = blocks.bounds.shape
    image = blocks.bounds.new_empty(particles, size, size)
    tiles = triton.cdiv(size, TILE)
    _spread[(particles * tiles * tiles,)](
        blocks.gaussian, blocks.bounds, image, count, size, tiles,
        tile=TILE, block=BLOCK, group=_GROUP, num_warps=_WARPS,
    )  # fmt: skip
    return image


def _gather_blocks(
    blocks: _Blocks,
    gradient: Float[Tensor, "particles size size"],
    order: Int[Tensor, "gaussians"],
    fine: FineGrid,
) -> Float[Tensor, "4 particles gaussians"]:
    """By x and y, Å; by mass; and by the square of the width, Å²."""
    particles, _, count = blocks.bounds.shape
    out = gradient.new_empty(4, particles, len(order))
    if out.numel():
        _gather[(particles * count,)](
            blocks.gaussian, blocks.bounds, gradient.contiguous(), order, out, particles,
            len(order), count, fine.size, triton.cdiv(fine.size, TILE), fine.pixel_size,
            tile=TILE, block=BLOCK, group=_GROUP, num_warps=_WARPS,
        )  # fmt: skip
    return out


@triton.jit(do_not_specialize=["gaussians", "blocks"])
@no_type_check
def _pack(
    x, y, mass, width, widening, order, gaussian, bounds, gaussians, blocks, size, pixel_size,
    window, block: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    particle, which = (number // blocks).to(tl.int64), number % blocks
    place = which * block + tl.arange(0, block)
    inside = place < gaussians
    source = particle * gaussians + tl.load(order + tl.minimum(place, gaussians - 1))
    at_x, at_y = tl.load(x + source) / pixel_size, tl.load(y + source) / pixel_size
    sigma = tl.load(width + source)
    sigma = tl.sqrt(sigma * sigma + tl.load(widening + particle)) / pixel_size
    # A Gaussian as wide as the grid is flat to 3e-9; wider ones would reach over many periods.
    sigma = tl.minimum(sigma, size)
    peak = tl.load(mass + source) / (6.283185307179586 * sigma * sigma)
    target = gaussian + particle * 4 * blocks * block + place
    tl.store(target, at_x)
    tl.store(target + blocks * block, at_y)
    tl.store(target + 2 * blocks * block, 0.7213475204444817 / (sigma * sigma))
    tl.store(target + 3 * blocks * block, tl.where(inside, peak, 0.0))

    reach = window * sigma
    low, high = tl.min(at_x - reach), tl.max(at_x + reach)
    target = bounds + particle * 5 * blocks + which
    tl.store(target, 0.5 * (low + high))
    tl.store(target + blocks, 0.5 * (high - low))
    low, high = tl.min(at_y - reach), tl.max(at_y + reach)
    tl.store(target + 2 * blocks, 0.5 * (low + high))
    tl.store(target + 3 * blocks, 0.5 * (high - low))
    tl.store(target + 4 * blocks, tl.floor(tl.max(reach) / size + 0.5))


@triton.jit(do_not_specialize=["blocks"])
@no_type_check
def _spread(
    gaussian, bounds, image, blocks, size, tiles,
    tile: tl.constexpr, block: tl.constexpr, group: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    particle, which = (number // (tiles * tiles)).to(tl.int64), number % (tiles * tiles)
    gaussian += particle * 4 * blocks * block
    bounds += particle * 5 * blocks
    row, column = which // tiles * tile, which % tiles * tile
    rows, columns = row + tl.arange(0, tile), column + tl.arange(0, tile)
    total = tl.zeros((tile, tile), tl.float32)
    start = 0
    while start < blocks:
        candidate = start + tl.arange(0, group)
        meets = _meets(bounds, candidate, candidate < blocks, blocks, row, column, size, tile)
        # The least candidate after the current one, until none is left.
        current = tl.min(tl.where(meets, candidate, blocks))
        while current < blocks:
            source = gaussian + current * block + tl.arange(0, block)
            periods = tl.load(bounds + 4 * blocks + current).to(tl.int32)
            at_x, at_y = tl.load(source), tl.load(source + blocks * block)
            rate = tl.load(source + 2 * blocks * block)
            peak = tl.load(source + 3 * blocks * block)
            along_y = _profile(rows[:, None], at_y[None, :], rate[None, :], size, periods)
            along_x = _profile(columns[None, :], at_x[:, None], rate[:, None], size, periods)
            total = tl.dot(along_y * peak[None, :], along_x, total, input_precision="tf32x3")
            current = tl.min(tl.where(meets & (candidate > current), candidate, blocks))
        start += group
    target = image + particle * size * size + rows[:, None] * size + columns[None, :]
    tl.store(target, total, mask=(rows[:, None] < size) & (columns[None, :] < size))


@triton.jit(do_not_specialize=["particles", "gaussians", "blocks"])
@no_type_check
def _gather(
    gaussian, bounds, gradient, order, out, particles, gaussians, blocks, size, tiles, pixel_size,
    tile: tl.constexpr, block: tl.constexpr, group: tl.constexpr,
):  # fmt: skip
    """Sums of the gradient under each Gaussian: Σ g, Σ g·dx, Σ g·dy, Σ g·r²."""
    number = tl.program_id(0)
    particle, which = (number // blocks).to(tl.int64), number % blocks
    bounds += particle * 5 * blocks + which
    periods = tl.load(bounds + 4 * blocks).to(tl.int32)
    source = gaussian + particle * 4 * blocks * block + which * block + tl.arange(0, block)
    at_x, at_y = tl.load(source), tl.load(source + blocks * block)
    rate = tl.load(source + 2 * blocks * block)
    peak = tl.load(source + 3 * blocks * block)

    sum_0 = tl.zeros((block,), tl.float32)
    sum_x, sum_y, sum_2 = sum_0, sum_0, sum_0
    start = 0
    while start < tiles * tiles:
        candidate = start + tl.arange(0, group)
        inside = candidate < tiles * tiles
        row, column = candidate // tiles * tile, candidate % tiles * tile
        meets = inside & _meets(bounds, 0, True, blocks, row, column, size, tile)
        current = tl.min(tl.where(meets, candidate, tiles * tiles))
        while current < tiles * tiles:
            rows = current // tiles * tile + tl.arange(0, tile)
            columns = current % tiles * tile + tl.arange(0, tile)
            at = gradient + particle * size * size + rows[:, None] * size + columns[None, :]
            inside_image = (rows[:, None] < size) & (columns[None, :] < size)
            part = tl.load(at, mask=inside_image, other=0.0)
            x_0, x_1, x_2 = _moments(columns[:, None], at_x[None, :], rate[None, :], size, periods)
            y_0, y_1, y_2 = _moments(rows[:, None], at_y[None, :], rate[None, :], size, periods)
            along_rows = tl.dot(part, x_0, input_precision="tf32x3")
            sum_0 += tl.sum(y_0 * along_rows, axis=0)
            sum_y += tl.sum(y_1 * along_rows, axis=0)
            sum_2 += tl.sum(y_2 * along_rows, axis=0)
            along_columns = tl.dot(tl.trans(part), y_0, input_precision="tf32x3")
            sum_x += tl.sum(x_1 * along_columns, axis=0)
            sum_2 += tl.sum(x_2 * along_columns, axis=0)
            current = tl.min(tl.where(meets & (candidate > current), candidate, tiles * tiles))
        start += group

    inverse = rate * 1.3862943611198906  # 1 / σ²
    place = which * block + tl.arange(0, block)
    inside = place < gaussians
    target = out + particle * gaussians + tl.load(order + place, mask=inside, other=0)
    step = particles.to(tl.int64) * gaussians
    tl.store(target, peak * sum_x * inverse / pixel_size, mask=inside)
    tl.store(target + step, peak * sum_y * inverse / pixel_size, mask=inside)
    tl.store(target + 2 * step, sum_0 * inverse * 0.15915494309189535, mask=inside)
    by_variance = 0.5 * peak * inverse * (sum_2 * inverse - 2 * sum_0)
    tl.store(target + 3 * step, by_variance / (pixel_size * pixel_size), mask=inside)


@triton.jit
@no_type_check
def _meets(bounds, block, inside, blocks, row, column, size, tile: tl.constexpr):
    """Whether blocks reach tiles: arcs of a circle meet if their middles are near enough."""
    middle_x = tl.load(bounds + block, mask=inside, other=0.0)
    half_x = tl.load(bounds + blocks + block, mask=inside, other=0.0)
    middle_y = tl.load(bounds + 2 * blocks + block, mask=inside, other=0.0)
    half_y = tl.load(bounds + 3 * blocks + block, mask=inside, other=0.0)
    half = 0.5 * (tile - 1)
    apart_x = tl.abs(_offset(column + half, middle_x, size)) > half_x + half
    apart_y = tl.abs(_offset(row + half, middle_y, size)) > half_y + half
    # Asked this way round, a block at NaN meets every tile and is not lost in silence.
    return inside & ((apart_x | apart_y) == 0)


@triton.jit
@no_type_check
def _profile(pixel, at, rate, size, periods):
    """exp(−d²/2σ²), summed over the periods of the grid that a Gaussian reaches."""
    offset = _offset(pixel, at, size)
    profile = tl.exp2(-rate * offset * offset)
    period = 1
    while period <= periods:
        before, after = offset - period * size, offset + period * size
        profile += tl.exp2(-rate * before * before) + tl.exp2(-rate * after * after)
        period += 1
    return profile


@triton.jit
@no_type_check
def _moments(pixel, at, rate, size, periods):
    """The sums of exp(−d²/2σ²), times 1, d and d², over the same periods."""
    offset = _offset(pixel, at, size)
    moment_0 = tl.exp2(-rate * offset * offset)
    moment_1 = moment_0 * offset
    moment_2 = moment_1 * offset
    period = 1
    while period <= periods:
        before, after = offset - period * size, offset + period * size
        early, late = tl.exp2(-rate * before * before), tl.exp2(-rate * after * after)
        moment_0 += early + late
        moment_1 += early * before + late * after
        moment_2 += early * before * before + late * after * after
        period += 1
    return moment_0, moment_1, moment_2


@triton.jit
@no_type_check
def _offset(pixel, at, size):
    """From the nearest periodic image of a Gaussian to a pixel."""
    offset = pixel - at
    return offset - size * tl.floor(offset / size + 0.5)
