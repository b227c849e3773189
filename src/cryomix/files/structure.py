"""Atomic models: PDB and mmCIF files, plain or compressed with gzip."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryomix.errors import InputFileError
from cryomix.files.compressed import read_beginning
from cryomix.simulation.structure import Structure

if TYPE_CHECKING:
    import gemmi

SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif")

_LARGEST_BYTES = 2**30
_ASCII = bytes(code if code < 128 else ord("?") for code in range(256))
_MACROMOLECULAR = {"H", "D", "C", "N", "O", "P", "S", "Se"}


def is_structure_name(name: str) -> bool:
    """Whether a file of that name is an atomic model."""
    return name.lower().removesuffix(".gz").endswith(SUFFIXES)


def read_structure(path: Path) -> Structure:
    """The atoms of a PDB or mmCIF file, without hydrogens and water.

    Chains and residue numbers are the author's, as ChimeraX shows them. Of alternative positions
    the first is taken.

    Raises
    ------
    InputFileError
        If the file is missing or malformed, holds no atoms or such that are not finite, if its
        models differ in their atoms, or if gemmi, which reads it, is not installed.
    """
    if importlib.util.find_spec("gemmi") is None:
        raise InputFileError(f"{path}: atomic models need gemmi: pip install 'cryomix[model]'")
    structure = parse_structure(path)  # which owns all that is read of it
    models = list(structure)
    atoms = [_atoms(model) for model in models]
    if not atoms or not atoms[0]:
        raise InputFileError(f"{path}: holds no atoms that show in a map")
    names = [(chain, residue, atom.name) for chain, residue, atom, _ in atoms[0]]
    for number, other in enumerate(atoms[1:], start=2):
        if [(chain, residue, atom.name) for chain, residue, atom, _ in other] != names:
            raise InputFileError(
                f"{path}: all models must have the atoms of the first: it has {len(names)}, "
                f"model {number} has {len(other)} or others"
            )
    position = np.array([[atom.pos.tolist() for _, _, atom, _ in model] for model in atoms])
    if not np.isfinite(position).all():
        model, atom, _ = np.argwhere(~np.isfinite(position))[0]
        chain, residue, name = names[atom]
        raise InputFileError(
            f"{path}: positions must be finite, got NaN or infinity for {name} of "
            f"/{chain}:{residue} in model {model + 1}"
        )
    return Structure(
        source=str(path),
        position=position,
        mass=np.array([element_of(atom, het).atomic_number for _, _, atom, het in atoms[0]], float),
        chain=tuple(chain for chain, _, _ in names),
        residue=np.array([residue for _, residue, _ in names], np.int64),
        row=_rows(models[0]),
        rows=models[0].count_atom_sites(),
    )


def parse_structure(path: Path) -> "gemmi.Structure":
    """What a PDB or mmCIF file holds, plain or gzip; needs gemmi.

    Raises
    ------
    InputFileError
        If the file is missing or malformed.
    """
    return _parse(path, _read_text(path))


def element_of(atom: "gemmi.Atom", het: str) -> "gemmi.Element":
    """Without a column of elements, Cα written one column too far left would be calcium."""
    import gemmi  # an optional dependency

    if het == "H" or atom.element.name in _MACROMOLECULAR:
        return atom.element
    letter = atom.name.lstrip("0123456789")[:1]
    return gemmi.Element(letter) if letter in _MACROMOLECULAR else atom.element


def _read_text(path: Path) -> str:
    if path.name.lower().removesuffix(".gz").endswith(".bcif"):
        raise InputFileError(f"{path}: binary mmCIF is not read: save it as mmCIF (.cif)")
    content = read_beginning(path, _LARGEST_BYTES + 1)
    if len(content) > _LARGEST_BYTES:
        raise InputFileError(
            f"{path}: an atomic model must have at most {_LARGEST_BYTES // 2**30} GiB, got more"
        )
    # Both formats are ASCII: a letter of several bytes could be cut in two by the columns of a PDB.
    return content.translate(_ASCII).decode("ascii")


def _parse(path: Path, text: str) -> "gemmi.Structure":
    import gemmi  # an optional dependency

    try:
        if path.name.lower().removesuffix(".gz").endswith((".cif", ".mmcif")):
            document = gemmi.cif.read_string(text)
            return gemmi.make_structure_from_block(document[0])
        return gemmi.read_pdb_string(text)
    except (ValueError, RuntimeError, IndexError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is empty"
        raise InputFileError(f"{path}: not an atomic model: {reason}") from error


def _atoms(model: "gemmi.Model") -> "list[tuple[str, int, gemmi.Atom, str]]":
    """Chain, residue, atom and record of each atom that shows."""
    return [
        (chain.name, residue.seqid.num or 0, atom, residue.het_flag)
        for chain in model
        for residue in chain
        for atom in residue
        if _shows(residue, atom)
    ]


def _rows(model: "gemmi.Model") -> np.ndarray:
    shows = [_shows(residue, atom) for chain in model for residue in chain for atom in residue]
    return np.flatnonzero(shows).astype(np.int64)


def _shows(residue: "gemmi.Residue", atom: "gemmi.Atom") -> bool:
    if residue.is_water() or element_of(atom, residue.het_flag).is_hydrogen:
        return False
    return atom.altloc == "\0" or atom.altloc == residue[atom.name][0].altloc
