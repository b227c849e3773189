"""Gaussian models as files of atoms, one pseudo-atom per Gaussian: mmCIF, PDB and CSV."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from cryomix.errors import OutputError
from cryomix.files.atomic import write_atomically
from cryomix.files.checkpoint import write_csv
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.map_frame import MapFrame

if TYPE_CHECKING:
    import gemmi

PDB_ATOMS = 99_999
PDB_COORDINATES = (-999.999, 9999.999)  # Å; what eight columns hold
_CHAINS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CHAIN_LENGTH = 9999  # residues; what the four columns of PDB hold
_RESIDUE, _ATOM, _ELEMENT = "DUM", "C", "C"
_ENTITY = "1"
_LARGEST_B = 100.0


def require_gemmi(path: Path) -> None:
    """Refuse atoms that cannot be written here, before anything is computed.

    Raises
    ------
    OutputError
        If gemmi, which writes them, is not installed.
    """
    if importlib.util.find_spec("gemmi") is None:
        raise OutputError(f"{path}: atomic models need gemmi: pip install 'cryomix[model]'")


def amplitude_factors(models: GaussianModel) -> Float[np.ndarray, "models gaussians"]:
    """Amplitudes as B-factors: 100 for the largest of all models, so that they fit any format."""
    amplitude = models.amplitude.double().numpy()
    factors: np.ndarray = _LARGEST_B * amplitude / max(float(amplitude.max()), 1e-30)
    return factors


def displacement_factors(models: GaussianModel) -> Float[np.ndarray, "models gaussians"]:
    """Distances from where each Gaussian is in the first model, Å, as B-factors."""
    factors: np.ndarray = (models.center - models.center[0]).double().norm(dim=-1).numpy()
    return factors


def write_pseudo_atoms(
    path: Path,
    models: GaussianModel,
    frame: MapFrame,
    factor: Float[np.ndarray, "models gaussians"],
) -> None:
    """Write one model per state, one atom per Gaussian; the suffix says whether mmCIF or PDB.

    Each atom is a residue of its own, numbered as the Gaussians are, in chains of 9,999. Its
    occupancy is the mass of its Gaussian over the largest that it has in any of the states.

    Parameters
    ----------
    path
        Ends in .cif or .pdb.
    models
        One per state.
    frame
        Of the job's maps: the atoms lie on their density.
    factor
        B-factors.

    Raises
    ------
    OutputError
        If PDB has too few columns for so many atoms, or for where they are.
    """
    position = frame.place(models.center).numpy().round(3)
    mass = (models.amplitude * models.width**3).double().numpy()
    occupancy = mass / np.maximum(mass.max(axis=0), 1e-30)
    if path.suffix == ".pdb":
        require_pdb_columns(path, position)
    structure = _build(position, occupancy, factor)
    with write_atomically(path) as file:
        file.write(to_text(structure, path.suffix, only_atoms=True).encode())


def write_gaussian_table(path: Path, models: GaussianModel, frame: MapFrame) -> None:
    """Write a row per Gaussian and state, states and Gaussians numbered from 1.

    Positions are in the frame of the job's maps; displacements are from the first state, Å.
    """
    position = frame.place(models.center)
    moved = (models.center - models.center[0]).double()
    states, gaussians = models.amplitude.shape
    number = np.stack([*np.indices((states, gaussians))], axis=-1) + 1
    values = np.concatenate(
        [
            position.numpy(),
            models.amplitude.double().numpy()[..., None],
            models.width.double().numpy()[..., None],
            moved.numpy(),
            moved.norm(dim=-1).numpy()[..., None],
        ],
        axis=-1,
    )
    rows = (
        (*one.tolist(), *(round(value, 6) for value in row))
        for one, row in zip(number.reshape(-1, 2), values.reshape(-1, 9).tolist(), strict=True)
    )
    write_csv(path, list(_COLUMNS), rows)


def require_pdb_columns(path: Path, position: Float[np.ndarray, "models atoms 3"]) -> None:
    """Refuse what the columns of PDB cannot hold.

    Raises
    ------
    OutputError
        If there are too many atoms, or they are too far out.
    """
    if position.shape[1] > PDB_ATOMS:
        raise OutputError(
            f"{path}: PDB holds at most {PDB_ATOMS} atoms, got {position.shape[1]}: write .cif"
        )
    low, high = PDB_COORDINATES
    if position.min() < low or position.max() > high:
        raise OutputError(
            f"{path}: PDB holds coordinates from {low:g} to {high:g} Å, got {position.min():.1f} "
            f"to {position.max():.1f}: write .cif"
        )


def to_text(structure: "gemmi.Structure", suffix: str, *, only_atoms: bool) -> str:
    """The content of a .cif or .pdb file; PDB can go without what it says beside the atoms."""
    import gemmi  # an optional dependency

    if suffix == ".pdb":
        pdb: str = structure.make_pdb_string(gemmi.PdbWriteOptions(minimal=only_atoms))
        return pdb
    cif: str = structure.make_mmcif_document().as_string()
    return cif


def _build(
    position: Float[np.ndarray, "models atoms 3"],
    occupancy: Float[np.ndarray, "models atoms"],
    factor: Float[np.ndarray, "models atoms"],
) -> "gemmi.Structure":
    import gemmi  # an optional dependency

    structure = gemmi.Structure()
    structure.name = "cryomix"
    for number, columns in enumerate(zip(position, occupancy, factor, strict=True), start=1):
        model = gemmi.Model(number)
        for place, (point, share, b_factor) in enumerate(zip(*columns, strict=True)):
            chain, residue_number = divmod(place, _CHAIN_LENGTH)
            if residue_number == 0:
                model.add_chain(gemmi.Chain(_chain_name(chain)))
            atom = gemmi.Atom()
            atom.name, atom.element = _ATOM, gemmi.Element(_ELEMENT)
            atom.pos = gemmi.Position(*point.tolist())
            atom.occ, atom.b_iso = float(share), float(b_factor)
            residue = gemmi.Residue()
            residue.name, residue.het_flag = _RESIDUE, "H"
            residue.seqid = gemmi.SeqId(residue_number + 1, " ")
            residue.entity_type = gemmi.EntityType.NonPolymer
            residue.subchain, residue.entity_id = model[-1].name, _ENTITY
            residue.add_atom(atom)
            model[-1].add_residue(residue)
        structure.add_model(model)
    entity = gemmi.Entity(_ENTITY)
    entity.entity_type = gemmi.EntityType.NonPolymer
    entity.subchains = [chain.name for chain in structure[0]]
    structure.entities = gemmi.EntityList([entity])
    structure.assign_serial_numbers()
    return structure


def _chain_name(number: int) -> str:
    """A to Z, then AA, AB and on, which only mmCIF can hold."""
    name = ""
    while number >= 0:
        number, letter = divmod(number, len(_CHAINS))
        name, number = _CHAINS[letter] + name, number - 1
    return name


_COLUMNS = (
    "state", "gaussian", "x", "y", "z", "amplitude", "width",
    "displacement_x", "displacement_y", "displacement_z", "displacement",
)  # fmt: skip
