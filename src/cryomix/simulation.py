"""Synthetic molecules, and particle sets of them with known truth."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.ctf import Ctf, evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.particles import Particles
from cryomix.imaging.projection import project_gaussians
from cryomix.imaging.volume import Volume

System = Literal["linear", "cyclic", "mixture"]

_BATCH = 100


@dataclass(frozen=True, slots=True)
class MemoryStack:
    """Images held in memory."""

    image: Float[Tensor, "particles n n"]

    def __len__(self) -> int:
        return len(self.image)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order."""
        return self.image[index]


@dataclass(frozen=True, slots=True)
class MovingMolecule:
    """The states that a molecule can take.

    Attributes
    ----------
    states
        One model per state.
    coordinate
        Position along the motion, 0 to 1; on a circle 1 would be 0 again.
    has_ligand
        0 or 1 per state; None where there is no ligand.
    moving
        Indices of the Gaussians of the moving domain.
    cyclic
        Whether the motion closes on itself.
    """

    states: GaussianModel
    coordinate: Float[Tensor, "states"]
    has_ligand: Int64[Tensor, "states"] | None
    moving: Int64[Tensor, "moving"]
    cyclic: bool


@dataclass(frozen=True, slots=True)
class Simulation:
    """Particles and what is true of them.

    Attributes
    ----------
    particles
        With the poses that a refinement would have given, so with their error.
    poses
        The true ones.
    consensus
        Mean of the states.
    mask
        Soft region that the moving domain visits, 0 to 1.
    molecule
        The states.
    state
        Which of them each particle shows.
    """

    particles: Particles
    poses: Poses
    consensus: Volume
    mask: Volume
    molecule: MovingMolecule
    state: Int64[Tensor, "particles"]


def simulate_particles(
    system: System,
    particles: int,
    box_size: int,
    pixel_size: float,
    snr: float,
    seed: int,
    pose_error_deg: float = 0.0,
) -> Simulation:
    """Particles of one of the paper's three systems (Extended Data Fig. 5).

    Parameters
    ----------
    system
        ``linear``: a domain slides along a line; ``cyclic``: it goes round a circle;
        ``mixture``: it slides, and half of the molecules lack a ligand.
    particles
        How many, spread evenly over the states.
    box_size, pixel_size
        Of the images, pixels and Å; the molecule grows with the box.
    snr
        Variance of the signal over variance of the white noise, whole box.
    seed
        Of all random numbers, the molecule's too.
    pose_error_deg
        Standard deviation of the error of each rotation about each axis.
    """
    generator = torch.Generator().manual_seed(seed)
    grid = FourierGrid(box_size, pixel_size)
    molecule = make_molecule(system, grid, generator)
    states = len(molecule.coordinate)
    state = (torch.arange(particles) % states)[torch.randperm(particles, generator=generator)]
    shift = (torch.rand(particles, 2, generator=generator) * 2 - 1) * 3 * pixel_size
    poses = Poses(random_poses(particles, generator).rotation, shift)
    ctf = random_ctf(particles, generator)
    image = _noisy_images(molecule.states, state, poses, ctf, grid, snr, generator)
    observed = Particles(
        images=MemoryStack(image),
        poses=Poses(_perturbed(poses.rotation, pose_error_deg, generator), shift),
        ctf=ctf,
        pixel_size=pixel_size,
        box_size=box_size,
        half_set=(torch.arange(particles) % 2 + 1).to(torch.int8),
        source_row=torch.arange(particles),
    )
    consensus, mask = _mean_volume(molecule, grid), _moving_region(molecule, grid)
    return Simulation(observed, poses, consensus, mask, molecule, state)


def make_molecule(system: System, grid: FourierGrid, generator: torch.Generator) -> MovingMolecule:
    """A rigid core, a domain that moves and, for ``mixture``, a ligand that comes and goes."""
    unit = grid.box_length / 64
    core = _blob(400, 9 * unit, generator)
    domain = _blob(110, 4 * unit, generator)
    if system == "cyclic":
        coordinate = torch.arange(36) / 36
        angle = 2 * math.pi * coordinate
        height = torch.full_like(angle, 13.0)
        path = torch.stack([7 * angle.cos(), 7 * angle.sin(), height], dim=-1) * unit
        domain = domain * 0.8
    else:
        coordinate = torch.linspace(0, 1, 20)
        across, still = 15 * coordinate - 7.5, torch.zeros_like(coordinate)
        path = torch.stack([across, still + 13, still], dim=-1) * unit
    has_ligand = None
    parts = [core.expand(len(path), -1, -1), domain + path[:, None]]
    if system == "mixture":
        ligand = _blob(60, 2.5 * unit, generator) + torch.tensor([3.0, -12.0, 3.0]) * unit
        parts.append(ligand.expand(len(path), -1, -1))
        has_ligand = torch.arange(2).repeat_interleave(len(path))
        coordinate = coordinate.repeat(2)
        parts = [part.repeat(2, 1, 1) for part in parts]
    center = torch.cat(parts, dim=1)
    amplitude = torch.ones(center.shape[:2])
    if has_ligand is not None:
        amplitude[has_ligand == 0, len(core) + len(domain) :] = 0
    states = GaussianModel(center, amplitude, torch.full_like(amplitude, grid.pixel_size))
    moving = torch.arange(len(core), len(core) + len(domain))
    return MovingMolecule(states, coordinate, has_ligand, moving, system == "cyclic")


def random_ctf(particles: int, generator: torch.Generator) -> Ctf:
    """Defocus 0.8–2.5 µm with up to 600 Å of astigmatism, 300 kV, 2.7 mm, 10 % amplitude."""
    mean, astigmatism, angle = torch.rand(3, particles, generator=generator)
    mean, half_difference = 0.8e4 + 1.7e4 * mean, 300 * astigmatism
    same = torch.ones(particles)
    return Ctf(
        defocus_u=mean + half_difference,
        defocus_v=mean - half_difference,
        defocus_angle_deg=180 * angle,
        voltage_kv=300 * same,
        spherical_aberration_mm=2.7 * same,
        amplitude_contrast=0.1 * same,
        phase_shift_deg=0 * same,
    )


def _blob(count: int, radius: float, generator: torch.Generator) -> Float[Tensor, "count 3"]:
    """Points of a lumpy, chiral body: five overlapping lobes, none like another."""
    lobes = torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    lobes = lobes * radius * torch.linspace(0.35, 0.65, 5)[:, None]
    which = torch.randint(0, 5, (count,), generator=generator)
    point = lobes[which] + torch.randn(count, 3, generator=generator) * 0.22 * radius
    distance = point.norm(dim=-1, keepdim=True)
    return point * (radius / distance).clamp_max(1.0)


def _noisy_images(
    states: GaussianModel,
    state: Int64[Tensor, "particles"],
    poses: Poses,
    ctf: Ctf,
    grid: FourierGrid,
    snr: float,
    generator: torch.Generator,
) -> Float[Tensor, "particles n n"]:
    batches = []
    for index in torch.arange(len(state)).split(_BATCH):
        projection = project_gaussians(states[state[index]], poses[index], grid)
        batches.append(to_real(projection * evaluate_ctf(ctf[index], grid)))
    image = torch.cat(batches)
    noise = image.std() / math.sqrt(snr)
    image += noise * torch.randn(image.shape, generator=generator)
    return (image - image.mean()) / image.std()


def _perturbed(
    rotation: Float[Tensor, "particles 3 3"], error_deg: float, generator: torch.Generator
) -> Float[Tensor, "particles 3 3"]:
    vector = torch.randn(len(rotation), 3, generator=generator) * math.radians(error_deg)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross) @ rotation


def _mean_volume(molecule: MovingMolecule, grid: FourierGrid) -> Volume:
    count = len(molecule.coordinate)
    center = molecule.states.center.flatten(0, 1)
    amplitude = molecule.states.amplitude.flatten() / count
    together = GaussianModel(center, amplitude, molecule.states.width.flatten())
    return render_volume(together, grid.box_size, grid.pixel_size)


def _moving_region(molecule: MovingMolecule, grid: FourierGrid) -> Volume:
    domain = molecule.states.subset(molecule.moving)
    width = 1.5 * domain.width.flatten()
    visited = GaussianModel(domain.center.flatten(0, 1), torch.ones_like(width), width)
    density = render_volume(visited, grid.box_size, grid.pixel_size).density
    return Volume((density / (0.05 * density.max())).clamp(0, 1), grid.pixel_size)
