"""Atomic models whole, with hydrogens and water: read to be moved, written in many states."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from cryomix.errors import InputFileError
from cryomix.files.atomic import write_atomically
from cryomix.files.pseudo_atoms import require_pdb_columns, to_text
from cryomix.files.structure import element_of, parse_structure

if TYPE_CHECKING:
    import gemmi


@dataclass(frozen=True, slots=True)
class AtomicModel:
    """The first model of a file.

    Attributes
    ----------
    position
        (x, y, z) of each atom in the frame of the file, Å.
    mass
        Electrons; of an atom in part there, that part.
    radius
        Covalent, Å.
    structure
        All else that the file says.
    """

    position: Float[np.ndarray, "atoms 3"]
    mass: Float[np.ndarray, "atoms"]
    radius: Float[np.ndarray, "atoms"]
    structure: "gemmi.Structure"


def read_atomic_model(path: Path) -> AtomicModel:
    """All atoms of the first model of a PDB or mmCIF file, plain or gzip.

    Raises
    ------
    InputFileError
        If the file is missing or malformed, holds no atoms or such that are not finite, or if
        gemmi, which reads it, is not installed.
    """
    if importlib.util.find_spec("gemmi") is None:
        raise InputFileError(f"{path}: atomic models need gemmi: pip install 'cryomix[model]'")
    structure = parse_structure(path)
    sites = list(structure[0].all()) if len(structure) else []
    if not sites:
        raise InputFileError(f"{path}: holds no atoms")
    position = np.array([site.atom.pos.tolist() for site in sites])
    unusable = np.flatnonzero(~np.isfinite(position).all(axis=1))
    if len(unusable):
        raise InputFileError(f"{path}: positions must be finite, got {sites[unusable[0]]}")
    for site in sites:
        site.atom.element = element_of(site.atom, site.residue.het_flag)
    elements = [site.atom.element for site in sites]
    number = np.array([element.atomic_number for element in elements], float)
    share = np.array([site.atom.occ for site in sites])
    if not share.any():  # some programs leave the column at 0
        share = np.ones_like(share)
    radius = np.array([element.covalent_r for element in elements], float)
    return AtomicModel(position, number * share, radius, structure)


def write_atomic_states(
    path: Path, model: AtomicModel, position: Float[np.ndarray, "states atoms 3"]
) -> None:
    """Write `model` once for each state; the suffix says whether mmCIF or PDB.

    Names, numbers, occupancies and B-factors stay; anisotropic B-factors, which turn with the
    atoms, are left out.

    Raises
    ------
    OutputError
        If PDB has too few columns.
    """
    import gemmi  # an optional dependency

    if path.suffix == ".pdb":
        require_pdb_columns(path, position)
    structure = model.structure.clone()
    while len(structure) > 1:
        del structure[-1]
    for _ in position[1:]:
        structure.add_model(structure[0].clone())
    for number, (state, places) in enumerate(zip(structure, position, strict=True), start=1):
        state.num = number
        for site, place in zip(state.all(), places, strict=True):
            site.atom.pos = gemmi.Position(*place.round(3).tolist())
            site.atom.aniso = gemmi.SMat33f(0, 0, 0, 0, 0, 0)
    structure.assign_serial_numbers()
    with write_atomically(path) as file:
        file.write(to_text(structure, path.suffix, only_atoms=False).encode())
