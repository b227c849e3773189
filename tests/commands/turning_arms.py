"""A molecule of two chains, one of which turns about a hinge: as Gaussians and as atoms."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import gemmi
import numpy as np
import torch

from cryomix.imaging.gaussians import GaussianModel

ORIGIN = (-31.5, 12.0, 40.25)  # of voxel (0, 0, 0) of the maps, Å
VOXEL, BOX = 4.0, 32
MIDDLE = np.array(ORIGIN) + BOX // 2 * VOXEL
HINGE = np.array([6.0, 0.0, 0.0])
RESIDUES = 80  # of each chain


def trace(chain: int) -> np.ndarray:
    """Residues 3.8 Å apart at random in a ball; chain 0 is the core, chain 1 the arm."""
    generator = np.random.default_rng(chain)
    place = [np.zeros(3)]
    while len(place) < RESIDUES:
        step = generator.normal(size=3)
        tried = place[-1] + 3.8 * step / np.linalg.norm(step)
        if np.linalg.norm(tried) < 15:
            place.append(tried)
    return np.array(place) + np.array([(-16.0, 26.0)[chain], 0.0, 0.0])


def turned(place: np.ndarray, angle: float) -> np.ndarray:
    """About z through the hinge, rad."""
    cos, sin = np.cos(angle), np.sin(angle)
    return (place - HINGE) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]).T + HINGE


@dataclass
class TurningArm:
    """A Gaussian for each residue; latent 1 turns the arm, in rad, and latent 2 fades it."""

    settings: SimpleNamespace

    @property
    def neutral(self) -> GaussianModel:
        return self.decode(torch.zeros(1, 2))[0]

    def decode(self, latent: torch.Tensor) -> GaussianModel:
        center = [np.concatenate([trace(0), turned(trace(1), float(z[0]))]) for z in latent]
        amplitude = torch.tensor([0.45, 0.55]).repeat(RESIDUES).expand(len(latent), -1).clone()
        amplitude[:, RESIDUES:] *= 1 - latent[:, 1:]
        width = torch.full_like(amplitude, 4.5)
        return GaussianModel(torch.from_numpy(np.stack(center)).float(), amplitude, width)


def write_atoms(path: Path, angle: float, *, shift: float = 0.0, occupancy: float = 1.0) -> Path:
    """Alanines with one hydrogen each along both traces, the arm at `angle`; B-factors count."""
    model = gemmi.Model(1)
    for number, name in enumerate("AB"):
        chain = gemmi.Chain(name)
        names, place = _alanines(trace(number))
        place = turned(place, angle) if number else place
        for count, points in enumerate(place + MIDDLE + [shift, 0, 0], start=1):
            residue = gemmi.Residue()
            residue.name, residue.seqid = "ALA", gemmi.SeqId(count, " ")
            for atom_name, point in zip(names, points, strict=True):
                atom = gemmi.Atom()
                atom.name, atom.element = atom_name, gemmi.Element(atom_name[0])
                atom.pos, atom.occ = gemmi.Position(*point.tolist()), occupancy
                atom.b_iso = count
                residue.add_atom(atom)
            chain.add_residue(residue)
        model.add_chain(chain)
    structure = gemmi.Structure()
    structure.add_model(model)
    structure.setup_entities()
    if path.suffix == ".cif":
        structure.make_mmcif_document().write_file(str(path))
    else:
        structure.write_pdb(str(path))
    return path


def _alanines(trace: np.ndarray) -> tuple[list[str], np.ndarray]:
    way = np.gradient(trace, axis=0)
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    side = np.cross(way, np.roll(way, 1, axis=0) + np.array([0.1, 0.2, 0.3]))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(way, side)
    offset = {
        "N": -1.2 * way + 0.7 * side, "CA": 0 * way, "C": 1.2 * way + 0.8 * side,
        "O": 1.4 * way + 1.9 * side, "CB": 1.2 * up - 0.8 * side, "HA": -0.9 * up - 0.6 * side,
    }  # fmt: skip
    return list(offset), np.stack([trace + each for each in offset.values()], axis=1)
