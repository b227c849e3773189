"""Images beside what a map predicts of them, under any reading of their metadata."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Complex, Float, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import evaluate_ctf, evaluate_phase
from cryomix.imaging.particles import Particles, iterate_batches, working_grid
from cryomix.imaging.readings import ROTATIONS, Reading, Transfer, read_ctf_as, read_poses_as
from cryomix.imaging.volume import Volume, project_volume, transform_volume

_BATCH = 64


class Comparison:
    """Some images and a map, ready to be compared under any reading.

    Parameters
    ----------
    particles, volume
        As given.
    index
        Which particles.
    resolution
        Finest detail compared, Å.
    """

    def __init__(
        self,
        particles: Particles,
        volume: Volume,
        index: Int64[Tensor, "sample"],
        resolution: float,
    ) -> None:
        self.grid = working_grid(particles, resolution)
        self.poses, self.ctf = particles.poses[index], particles.ctf[index]
        batches = iterate_batches(particles, self.grid, index, _BATCH)
        image_ft = torch.cat([batch.image_ft for batch in batches])
        weight = _whitening(image_ft, self.grid, self.grid.ring_of(resolution))
        self._band = weight > 0
        self._weight = weight[self._band]
        self._ring = self.grid.ring[self._band]
        self._image = image_ft[:, self._band]
        self._power = (self._image.abs().square() * self._weight).sum(-1)
        self._transform = transform_volume(volume)
        self._projections: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._image)

    def score(self, reading: Reading, sign: float) -> Float[Tensor, "sample"]:
        """How much likelier each image is with what `reading` predicts than without it, nats.

        The strength of the prediction is free on each ring, but not below zero, and the same for
        all images: a map may have been filtered, sharpened or be noisy. `sign` is that of the
        contrast.
        """
        expected = self._expect(reading)
        cross = self._sum_rings((self._image * expected.conj()).real * self._weight)
        power = self._sum_rings(expected.abs().square() * self._weight)
        gain = (sign * cross.sum(0) / power.sum(0).clamp_min(1e-30)).clamp_min(0)
        # Coefficients of the half plane stand for two each, which are not independent.
        return (gain * sign * cross - 0.5 * gain.square() * power).sum(-1)

    def correlate(self, reading: Reading) -> Float[Tensor, "sample"]:
        """Whitened correlation of each image with what `reading` predicts; CTF included."""
        expected = self._expect(reading)
        cross = ((self._image * expected.conj()).real * self._weight).sum(-1)
        power = self._power * (expected.abs().square() * self._weight).sum(-1)
        return cross / power.sqrt().clamp_min(1e-30)

    def _sum_rings(self, values: Float[Tensor, "sample band"]) -> Float[Tensor, "sample rings"]:
        sums = values.new_zeros(len(values), self.grid.n_rings)
        return sums.index_add(1, self._ring, values)

    def _expect(self, reading: Reading) -> Complex[Tensor, "sample band"]:
        transfer = evaluate_ctf(read_ctf_as(self.ctf, reading), self.grid)[:, self._band]
        if reading.transfer == "absolute":
            transfer = transfer.abs()
        shift = read_poses_as(self.poses, reading).shift
        return self.project(reading.rotation) * self.displace(shift) * transfer

    def project(self, rotation: str) -> Complex[Tensor, "sample band"]:
        """Projections of the map without shifts."""
        if rotation not in self._projections:
            poses = ROTATIONS[rotation](self.poses)
            centred = Poses(poses.rotation, torch.zeros_like(poses.shift))
            projection = project_volume(self._transform, centred, self.grid)
            self._projections[rotation] = projection[:, self._band]
        return self._projections[rotation]

    def displace(self, shift: Float[Tensor, "_ 2"]) -> Complex[Tensor, "_ band"]:
        """What a shift does to a transform."""
        x = shift[:, 0, None, None] * self.grid.frequency_x.to(shift)
        y = shift[:, 1, None, None] * self.grid.frequency_y.to(shift)[:, None]
        phase = -2 * math.pi * (x + y)[:, self._band]
        return torch.polar(torch.ones_like(phase), phase)

    def correlate_all(
        self,
        rotations: Sequence[str],
        shifts: Sequence[float],
        transfers: Sequence[tuple[Transfer, float]],
    ) -> Float[Tensor, "rotations shifts transfers sample"]:
        """`correlate` for all combinations at once.

        Astigmatism is taken as given even where images are read as flipped.
        """
        found = torch.empty(len(rotations), len(shifts), len(transfers), len(self))
        for part in torch.arange(len(self)).split(_BATCH):
            curve = self._curves(part, transfers)
            square = curve.square()
            for i, rotation in enumerate(rotations):
                projection = self.project(rotation)[part]
                shift = ROTATIONS[rotation](self.poses).shift[part]
                image = self._image[part]
                weighted = projection.conj() * self._weight
                cross = torch.stack(
                    [(image * self.displace(-factor * shift) * weighted).real for factor in shifts],
                    1,
                )
                power = projection.abs().square() * self._weight
                power = torch.einsum("pk,pkt->pt", power, square) * self._power[part, None]
                value = torch.einsum("psk,pkt->pst", cross, curve)
                value = value / power.sqrt().clamp_min(1e-30)[:, None]
                found[i, :, :, part] = value.permute(1, 2, 0)
        return found

    def _curves(
        self, part: Tensor, transfers: Sequence[tuple[Transfer, float]]
    ) -> Float[Tensor, "part band transfers"]:
        ctf = self.ctf[part]
        none = torch.zeros_like(ctf.defocus_u)
        phase = evaluate_phase(ctf, self.grid)[:, self._band]
        rest = evaluate_phase(replace(ctf, defocus_u=none, defocus_v=none), self.grid)
        rest = rest[:, self._band]
        curves = []
        for transfer, factor in transfers:
            curve = torch.sin(rest + factor * (phase - rest))
            if transfer == "absolute":
                curve = curve.abs()
            curves.append(torch.ones_like(curve) if transfer == "none" else curve)
        return torch.stack(curves, -1)


def _whitening(
    image_ft: Complex[Tensor, "particles rows columns"], grid: FourierGrid, last_ring: int
) -> Float[Tensor, "rows columns"]:
    """One over the mean power of each ring, from ring 2 to `last_ring`; zero elsewhere."""
    count = sum_over_rings(torch.ones_like(image_ft.real[0]), grid)
    power = sum_over_rings(image_ft.abs().square().mean(0), grid) / count
    weight = torch.where(power > 0, 1 / power.clamp_min(1e-30), 0.0)
    weight[:2], weight[last_ring + 1 :] = 0, 0
    ring = grid.ring.clamp_max(grid.n_rings - 1)
    return torch.where(grid.ring < grid.n_rings, weight[ring], 0.0) * grid.multiplicity
