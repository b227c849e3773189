"""The paper's three simulated systems (Extended Data Fig. 5)."""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.gaussians import GaussianModel
from cryomix.simulation.molecule import MovingMolecule

System = Literal["linear", "cyclic", "mixture"]


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


def _blob(count: int, radius: float, generator: torch.Generator) -> Float[Tensor, "count 3"]:
    """Points of a lumpy, chiral body: five overlapping lobes, none like another."""
    lobes = torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=-1)
    lobes = lobes * radius * torch.linspace(0.35, 0.65, 5)[:, None]
    which = torch.randint(0, 5, (count,), generator=generator)
    point = lobes[which] + torch.randn(count, 3, generator=generator) * 0.22 * radius
    distance = point.norm(dim=-1, keepdim=True)
    return point * (radius / distance).clamp_max(1.0)
