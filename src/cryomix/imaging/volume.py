"""A density on a cubic grid: filtering, masking, projection."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses

_COEFFICIENTS_AT_ONCE = 2**16  # of slices that are cut together


@dataclass(frozen=True, slots=True)
class Volume:
    """A map.

    Attributes
    ----------
    density
        Axes z, y, x; the centre is voxel n // 2.
    voxel_size
        Å.
    origin
        (x, y, z) of voxel (0, 0, 0) in the file's own frame, Å: only carried along, so that
        maps that are written lie on the map that was read.
    """

    density: Float[Tensor, "n n n"]
    voxel_size: float
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def box_size(self) -> int:
        """n, voxels."""
        return self.density.shape[0]


def low_pass(volume: Volume, resolution: float) -> Volume:
    """`volume` without detail finer than `resolution` Å; a raised-cosine edge two shells wide."""
    n = volume.box_size
    shell = _shell_radius(n).to(volume.density)
    last = n * volume.voxel_size / resolution
    edge = ((last + 1 - shell) / 2).clamp(0, 1)
    weight = 0.5 - 0.5 * torch.cos(torch.pi * edge)
    density = torch.fft.irfftn(torch.fft.rfftn(volume.density) * weight, s=(n, n, n))
    return Volume(density, volume.voxel_size, volume.origin)


def crop_volume(volume: Volume, box_size: int) -> Volume:
    """The same box sampled by `box_size`³ voxels: high frequencies cut off, centre kept."""
    n = volume.box_size
    if box_size == n:
        return volume
    if box_size > n:
        raise ValueError(f"cannot crop a box of {n} to {box_size}")
    transform = torch.fft.rfftn(torch.fft.ifftshift(volume.density))
    rows = torch.cat([torch.arange((box_size + 1) // 2), torch.arange(n - box_size // 2, n)])
    cropped = transform[rows][:, rows][:, :, : box_size // 2 + 1] * (box_size / n) ** 3
    density = torch.fft.fftshift(torch.fft.irfftn(cropped, s=(box_size,) * 3))
    return Volume(density, volume.voxel_size * n / box_size, volume.origin)


@dataclass(frozen=True, slots=True)
class VolumeTransform:
    """Transform of a volume padded to twice its size, ready to be sliced."""

    coefficient: Complex[Tensor, "padded padded columns"]
    box_size: int
    voxel_size: float


def transform_volume(volume: Volume) -> VolumeTransform:
    """Padded transform, corrected for the trilinear interpolation of `slice_transform`."""
    n, padded = volume.box_size, 2 * volume.box_size
    axis = (torch.arange(n).to(volume.density) - n // 2) / padded
    taper = torch.sinc(axis).square()
    corrected = volume.density / (taper[:, None, None] * taper[:, None] * taper)
    before = padded // 2 - n // 2
    after = padded - n - before
    cube = torch.nn.functional.pad(corrected, (before, after) * 3)
    coefficient = torch.fft.rfftn(torch.fft.ifftshift(cube))
    return VolumeTransform(torch.fft.fftshift(coefficient, dim=(0, 1)), n, volume.voxel_size)


def project_volume(
    volume: Volume | VolumeTransform, poses: Poses, grid: FourierGrid
) -> Complex[Tensor, "particles rows columns"]:
    """Fourier transform of the line integral of `volume` seen from each pose.

    A central slice of the padded transform, trilinearly interpolated; the same units as
    `project_gaussians` of the same density. Coefficients beyond Nyquist are zero.
    """
    transform = transform_volume(volume) if isinstance(volume, Volume) else volume
    at_once = max(1, _COEFFICIENTS_AT_ONCE // (grid.box_size * grid.half_size))
    slices = [_central_slices(transform, part, grid) for part in poses.rotation.split(at_once)]
    # Voxel sums to Å in depth, and to the number of pixels of the new grid.
    scale = transform.voxel_size * (transform.voxel_size / grid.pixel_size) ** 2
    x = poses.shift[:, 0, None] * grid.frequency_x.to(poses.shift)
    y = poses.shift[:, 1, None] * grid.frequency_y.to(poses.shift)
    phase = -2 * torch.pi * (y[:, :, None] + x[:, None, :])
    return torch.cat(slices) * torch.polar(torch.full_like(phase, scale), phase)


def _central_slices(
    transform: VolumeTransform, rotation: Float[Tensor, "some 3 3"], grid: FourierGrid
) -> Complex[Tensor, "some rows columns"]:
    padded = transform.coefficient.shape[0]
    k_y, k_x = torch.meshgrid(grid.frequency_y, grid.frequency_x, indexing="ij")
    # A plane wave k of the view is R^T k in the model's frame.
    frequency = torch.stack([k_x, k_y, torch.zeros_like(k_x)], dim=-1).to(rotation)
    frequency = frequency @ rotation[:, None]
    position = frequency * (padded * transform.voxel_size)
    mirrored = position[..., 0] < 0
    position = torch.where(mirrored[..., None], -position, position)
    inside = position.norm(dim=-1) < padded // 2 - 1
    x, y, z = torch.where(inside[..., None], position, 0.0).unbind(-1)
    value = _trilinear(transform.coefficient, x, y + padded // 2, z + padded // 2)
    value = torch.where(mirrored, value.conj(), value)
    return torch.where(inside, value, 0.0)


def _trilinear(cube: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    corner = [axis.floor().long() for axis in (x, y, z)]
    part = [axis - low for axis, low in zip((x, y, z), corner, strict=True)]
    value = torch.zeros(x.shape, dtype=cube.dtype, device=cube.device)
    for step in range(8):
        offset = (step & 1, step >> 1 & 1, step >> 2)
        weight = torch.ones_like(x)
        for fraction, up in zip(part, offset, strict=True):
            weight = weight * (fraction if up else 1 - fraction)
        i, j, k = (low + up for low, up in zip(corner, offset, strict=True))
        value = value + cube[k, j, i] * weight
    return value


def _shell_radius(n: int) -> Tensor:
    y, x = torch.fft.fftfreq(n) * n, torch.fft.rfftfreq(n) * n
    return torch.sqrt(y[:, None, None] ** 2 + y[None, :, None] ** 2 + x[None, None, :] ** 2)
