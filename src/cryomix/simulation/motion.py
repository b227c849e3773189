"""Rigid motions of parts of a molecule, as a user writes them."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from cryomix.errors import OptionError
from cryomix.simulation.structure import Structure, select_atoms

_FORMS = (
    "'rotate SELECTION by DEGREES about SELECTION [to SELECTION]', "
    "'rotate SELECTION by DEGREES about X,Y,Z [through SELECTION]' or "
    "'shift SELECTION by X,Y,Z'"
)
_OPEN_STATES, _CYCLIC_STATES = 20, 36


@dataclass(frozen=True, slots=True)
class RigidMotion:
    """A rotation about a fixed axis, or a shift, of some atoms.

    Attributes
    ----------
    moved
        Which atoms.
    rotation
        Axis times the whole angle, radians, right-handed.
    pivot
        A point of the axis, Å.
    shift
        The whole way, Å.
    coordinate
        Share of the whole in each state; 0 is the model as it is.
    cyclic
        Whether the whole is a full turn, so that 1 would be 0 again.
    """

    moved: Bool[np.ndarray, "atoms"]
    rotation: Float[np.ndarray, "3"]
    pivot: Float[np.ndarray, "3"]
    shift: Float[np.ndarray, "3"]
    coordinate: Float[np.ndarray, "states"]
    cyclic: bool

    def place(
        self, position: Float[np.ndarray, "points 3"], state: int
    ) -> Float[np.ndarray, "points 3"]:
        """Where points of the moved part are in one state."""
        share = self.coordinate[state]
        turned = Rotation.from_rotvec(share * self.rotation).apply(position - self.pivot)
        return turned + self.pivot + share * self.shift


def read_motion(
    text: str, structure: Structure, position: Float[np.ndarray, "atoms 3"], states: int
) -> RigidMotion:
    """A motion from its phrase.

    Parameters
    ----------
    text
        ``rotate SELECTION by DEGREES about AXIS`` or ``shift SELECTION by X,Y,Z``. The axis is a
        hinge, ``/H:230``: from the middle of what stays through the hinge; or runs between two,
        ``/A:29 to /A:68``; or has a direction, ``0,0,1``, and goes through the middle of what
        moves, or of ``through SELECTION``. Turns are right-handed.
    structure
        Whose chains and residues are named.
    position
        Of its atoms, Å.
    states
        How many; 0 takes 36 for a full turn and 20 else.

    Raises
    ------
    OptionError
        If the phrase cannot be read, or nothing would move or stay.
    InputFileError
        If a selection names no atom.
    """
    words = text.split()
    clauses = dict(zip(words[2::2], words[3::2], strict=False))
    whole = len(words) >= 4 and len(words) == 2 + 2 * len(clauses)
    verb = words[0] if whole else ""
    if verb not in _READERS or not clauses.keys() <= _CLAUSES[verb] or "by" not in clauses:
        raise _refusal(text, f"must be {_FORMS}")
    moved = select_atoms(structure, words[1])
    if moved.all():
        raise _refusal(text, "must leave something that stays, got all atoms")
    return _READERS[verb](text, clauses, structure, position, moved, states)


def _read_shift(
    text: str,
    clauses: dict[str, str],
    structure: Structure,
    position: Float[np.ndarray, "atoms 3"],
    moved: Bool[np.ndarray, "atoms"],
    states: int,
) -> RigidMotion:
    del structure, position
    coordinate = np.linspace(0, 1, states or _OPEN_STATES)
    none = np.zeros(3)
    return RigidMotion(moved, none, none, _vector(text, clauses["by"]), coordinate, False)


def _read_rotation(
    text: str,
    clauses: dict[str, str],
    structure: Structure,
    position: Float[np.ndarray, "atoms 3"],
    moved: Bool[np.ndarray, "atoms"],
    states: int,
) -> RigidMotion:
    degrees = _number(text, clauses["by"])
    if not 0 < abs(degrees) <= 360:
        raise _refusal(text, f"must turn by up to 360 degrees, got {clauses['by']}")
    direction, pivot = _axis(text, clauses, structure, position, moved)
    length = np.linalg.norm(direction)
    if not length > 1e-6:
        raise _refusal(text, "must have an axis with a direction, got one of no length")
    cyclic = abs(degrees) == 360
    if cyclic:
        count = states or _CYCLIC_STATES
        coordinate = np.arange(count) / count
    else:
        coordinate = np.linspace(0, 1, states or _OPEN_STATES)
    rotation = direction / length * math.radians(degrees)
    return RigidMotion(moved, rotation, pivot, np.zeros(3), coordinate, cyclic)


def _axis(
    text: str,
    clauses: dict[str, str],
    structure: Structure,
    position: Float[np.ndarray, "atoms 3"],
    moved: Bool[np.ndarray, "atoms"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Its direction, and a point on it."""
    if "about" not in clauses:
        raise _refusal(text, f"must be {_FORMS}")

    def middle(selection: str) -> Float[np.ndarray, "3"]:
        return position[select_atoms(structure, selection)].mean(axis=0)

    about = clauses["about"]
    if about[0] not in "/:":
        if "to" in clauses:
            raise _refusal(text, f"must be {_FORMS}")
        through = clauses.get("through")
        pivot = middle(through) if through else position[moved].mean(axis=0)
        return _vector(text, about), pivot
    if "through" in clauses:
        raise _refusal(text, f"must be {_FORMS}")
    hinge = middle(about)
    if "to" in clauses:
        return middle(clauses["to"]) - hinge, hinge
    return hinge - position[~moved].mean(axis=0), hinge


def _vector(text: str, numbers: str) -> Float[np.ndarray, "3"]:
    parts = numbers.split(",")
    if len(parts) != 3:
        raise _refusal(text, f"must have three numbers X,Y,Z there, got {numbers!r}")
    return np.array([_number(text, part) for part in parts])


def _number(text: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _refusal(text, f"must have a number there, got {number!r}")
    return value


def _refusal(text: str, reason: str) -> OptionError:
    return OptionError(f"--motion {text!r}: {reason}")


_READERS = {"rotate": _read_rotation, "shift": _read_shift}
_CLAUSES = {"rotate": {"by", "about", "to", "through"}, "shift": {"by"}}
