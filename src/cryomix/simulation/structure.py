"""Atoms, and which of them a selection names."""

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from cryomix.errors import InputFileError, OptionError

_PART = re.compile(r"(?:/(?P<chains>[^/:,\s]+(?:,[^/:,\s]+)*))?(?::(?P<residues>[-\d,]+))?")
_RANGE = re.compile(r"(-?\d+)(?:-(-?\d+))?")


@dataclass(frozen=True, slots=True)
class Structure:
    """The atoms of a molecule that show in a map: neither hydrogens nor water.

    Attributes
    ----------
    source
        The file, for messages.
    position
        (x, y, z) of each atom in each of the file's models, Å.
    mass
        Electrons of each atom.
    chain
        Name of its chain; empty where the file has none.
    residue
        Number of its residue.
    row
        Place of each atom among all atoms of a model of the file.
    rows
        How many those are.
    """

    source: str
    position: Float[np.ndarray, "models atoms 3"]
    mass: Float[np.ndarray, "atoms"]
    chain: tuple[str, ...]
    residue: Int64[np.ndarray, "atoms"]
    row: Int64[np.ndarray, "atoms"]
    rows: int

    def __len__(self) -> int:
        """Number of atoms."""
        return len(self.mass)


def select_atoms(structure: Structure, selection: str) -> Bool[np.ndarray, "atoms"]:
    """The atoms that a selection names, in ChimeraX's notation.

    Parameters
    ----------
    structure
        Of its chains and residues.
    selection
        ``/H`` is a chain, ``/H,L`` are two, ``/H:1-230`` some residues of one, ``:5-9,20`` of
        all; ``/H:1-230/L`` is the sum of two.

    Raises
    ------
    OptionError
        If it cannot be read.
    InputFileError
        If a part of it names no atom.
    """
    chain = np.array(structure.chain)
    chosen = np.zeros(len(structure), dtype=bool)
    for part in _split(selection):
        match = _PART.fullmatch(part)
        if match is None:
            raise _unreadable(selection)
        inside = np.ones(len(structure), dtype=bool)
        if match["chains"]:
            inside = np.isin(chain, match["chains"].split(","))
        if match["residues"]:
            inside &= _in_ranges(structure.residue, match["residues"], selection)
        if not inside.any():
            raise InputFileError(f"{structure.source}: no atom is in {part}; {_extent(structure)}")
        chosen |= inside
    return chosen


def _split(selection: str) -> list[str]:
    if not selection or selection[0] not in "/:":
        raise _unreadable(selection)
    return re.findall(r"/[^/]*|^:[^/]*", selection)


def _in_ranges(
    residue: Int64[np.ndarray, "atoms"], ranges: str, selection: str
) -> Bool[np.ndarray, "atoms"]:
    inside = np.zeros(len(residue), dtype=bool)
    for text in ranges.split(","):
        match = _RANGE.fullmatch(text)
        if match is None:
            raise _unreadable(selection)
        first = int(match[1])
        inside |= (residue >= first) & (residue <= int(match[2] or first))
    return inside


def _unreadable(selection: str) -> OptionError:
    return OptionError(
        f"a selection must be chains and residues such as /A, /A,B, /A:1-230/B or :5-9, "
        f"got {selection!r}"
    )


def _extent(structure: Structure) -> str:
    """What there is to choose from."""
    chain = np.array(structure.chain)
    parts = []
    for name in dict.fromkeys(structure.chain):
        residue = structure.residue[chain == name]
        parts.append(f"{'/' if name else ''}{name}:{residue.min()}-{residue.max()}")
    more = f" and {len(parts) - 8} chains more" if len(parts) > 8 else ""
    return f"it holds {', '.join(parts[:8])}{more}"
