"""Particle sets of a molecule with known states, poses and contrast transfer."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.ctf import Ctf
from cryomix.imaging.particles import Particles
from cryomix.imaging.volume import Volume
from cryomix.options import SimulationOptions
from cryomix.simulation.image_formation import MemoryStack, SimulatedStack, spread_over_rings
from cryomix.simulation.molecule import MovingMolecule, mean_volume, moving_region
from cryomix.simulation.systems import System, make_molecule

_MOST_SEED = 2**62


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
        Soft region that the moving part visits, 0 to 1.
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
    shift_px: float = 3.0,
    defocus: tuple[float, float] = (8000.0, 25000.0),
    astigmatism: float = 600.0,
) -> Simulation:
    """Particles of one of the paper's three systems (Extended Data Fig. 5), held in memory.

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
    shift_px
        Largest shift along x and y, pixels.
    defocus, astigmatism
        Range of the defocus, and largest difference between its two axes, Å.
    """
    options = SimulationOptions(
        particles=particles, box_size=box_size, pixel_size=pixel_size, snr=snr, seed=seed,
        pose_error_deg=pose_error_deg, shift_px=shift_px, defocus=defocus, astigmatism=astigmatism,
    )  # fmt: skip
    simulation = simulate_system(system, options)
    made = simulation.particles
    images = MemoryStack(made.images.read(torch.arange(len(made))))
    return replace(simulation, particles=replace(made, images=images))


def simulate_system(
    system: System,
    options: SimulationOptions,
    noise_power: Float[Tensor, "measured"] | None = None,
) -> Simulation:
    """Particles of one of the paper's systems; see `observe_molecule`."""
    generator = torch.Generator().manual_seed(options.seed)
    grid = FourierGrid(options.box_size, options.pixel_size)
    molecule = make_molecule(system, grid, generator)
    return _observe(molecule, options, generator, noise_power)


def observe_molecule(
    molecule: MovingMolecule,
    options: SimulationOptions,
    noise_power: Float[Tensor, "measured"] | None = None,
) -> Simulation:
    """Particles of a molecule, as many of each state, seen from everywhere.

    Parameters
    ----------
    molecule
        Its states.
    options
        Number, sampling, CTF, noise and errors of the particles.
    noise_power
        Of the rings of any box, from 0 to Nyquist, relative; None for white noise.

    Returns
    -------
    simulation
        Its images are made when they are read, and are then always the same.

    Raises
    ------
    OptionError
        If the molecule does not fit into the box.
    """
    _require_fit(molecule, options)
    generator = torch.Generator().manual_seed(options.seed)
    return _observe(molecule, options, generator, noise_power)


def _observe(
    molecule: MovingMolecule,
    options: SimulationOptions,
    generator: torch.Generator,
    noise_power: Float[Tensor, "measured"] | None,
) -> Simulation:
    particles = options.particles
    grid = FourierGrid(options.box_size, options.pixel_size)
    states = len(molecule.coordinate)
    state = (torch.arange(particles) % states)[torch.randperm(particles, generator=generator)]
    shift = torch.rand(particles, 2, generator=generator) * 2 - 1
    shift = shift * options.shift_px * options.pixel_size
    poses = Poses(random_poses(particles, generator).rotation, shift)
    ctf = _random_ctf(options, generator)
    seed = torch.randint(_MOST_SEED, (particles,), generator=generator)
    power = None if noise_power is None else spread_over_rings(noise_power, grid)
    stack = SimulatedStack(molecule.states, state, poses, ctf, grid, seed, power)
    observed = Particles(
        images=stack.with_noise(options.snr),
        poses=Poses(_perturbed(poses.rotation, options.pose_error_deg, generator), shift),
        ctf=ctf,
        pixel_size=options.pixel_size,
        box_size=options.box_size,
        half_set=(torch.arange(particles) % 2 + 1).to(torch.int8),
        source_row=torch.arange(particles),
    )
    consensus, mask = mean_volume(molecule, grid), moving_region(molecule, grid)
    return Simulation(observed, poses, consensus, mask, molecule, state)


def _random_ctf(options: SimulationOptions, generator: torch.Generator) -> Ctf:
    """300 kV, 2.7 mm, 10 % amplitude contrast; mean defocus and astigmatism drawn evenly."""
    mean, astigmatism, angle = torch.rand(3, options.particles, generator=generator)
    low, high = options.defocus
    mean = low + (high - low) * mean
    half_difference = options.astigmatism / 2 * astigmatism
    same = torch.ones(options.particles)
    return Ctf(
        defocus_u=mean + half_difference,
        defocus_v=mean - half_difference,
        defocus_angle_deg=180 * angle,
        voltage_kv=300 * same,
        spherical_aberration_mm=2.7 * same,
        amplitude_contrast=0.1 * same,
        phase_shift_deg=0 * same,
    )


def _perturbed(
    rotation: Float[Tensor, "particles 3 3"], error_deg: float, generator: torch.Generator
) -> Float[Tensor, "particles 3 3"]:
    vector = torch.randn(len(rotation), 3, generator=generator) * math.radians(error_deg)
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)
    return torch.linalg.matrix_exp(cross) @ rotation


def _require_fit(molecule: MovingMolecule, options: SimulationOptions) -> None:
    """Whatever the view, nothing may come nearer to the edge than three widths."""
    margin = options.shift_px * options.pixel_size + 3 * molecule.width
    needed = 2 * (molecule.radius + margin)
    length = options.box_size * options.pixel_size
    if needed > length:
        raise OptionError(
            f"--box {options.box_size}: the molecule, {2 * molecule.radius:.0f} Å across, needs "
            f"{needed:.0f} Å with its shifts, got {options.box_size} x {options.pixel_size:g} Å = "
            f"{length:g} Å"
        )
