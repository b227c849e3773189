"""From atoms and their motions to the Gaussians of every state."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from scipy.spatial.transform import Rotation

from cryomix.errors import InputFileError, OptionError
from cryomix.imaging.gaussians import GaussianModel
from cryomix.options import MotionOptions
from cryomix.simulation.molecule import MovingMolecule
from cryomix.simulation.motion import RigidMotion, read_motion
from cryomix.simulation.structure import Structure, select_atoms

_BEAD_PIXELS, _LEAST_BEAD = 0.8, 2.5  # edge of the cells, pixels and Å
_WIDTH = 0.6  # of the edge of a cell
_MOST_GIGABYTES = 2
_SEEN = 1.0  # Å: beads that move less do not count as moving, unless all do


def move_model(structure: Structure, options: MotionOptions, pixel_size: float) -> MovingMolecule:
    """The states of an atomic model some of whose parts move, or come and go.

    Parameters
    ----------
    structure
        Its first model is moved.
    options
        Motions, and what half of the states lack.
    pixel_size
        Of the images, Å: the Gaussians are as coarse as that.

    Raises
    ------
    OptionError
        If a motion or a selection cannot be read, nothing varies, two motions move the same
        atoms, only one of them is a full turn, or there would be too many states.
    InputFileError
        If a selection names no atom.
    """
    position = structure.position[0].astype(np.float64)
    motions = [read_motion(text, structure, position, options.states) for text in options.motion]
    _require_independent(motions)
    removed = _removed(structure, options)
    if not motions and removed is None:
        raise OptionError(
            f"{structure.source}: something must vary: give --motion, --without or --trajectory, "
            f"or a file of several models, got one model"
        )
    if options.states and not motions:
        raise OptionError(f"--states {options.states}: needs a motion or frames, got neither")
    part = np.zeros(len(structure), dtype=np.int64)
    for number, motion in enumerate(motions, start=1):
        part[motion.moved] = number
    place = np.average(position, axis=0, weights=structure.mass)
    beads = _Beads(position - place, part, structure.mass, removed, pixel_size)
    here = beads.pool(position - place) + place
    counts = [len(motion.coordinate) for motion in motions]
    _require_memory(counts, len(here))
    grid = np.array(list(np.ndindex(*counts)), np.int64).reshape(math.prod(counts), len(motions))
    center = np.repeat(here[None], len(grid), axis=0)
    for number, motion in enumerate(motions):
        mine = beads.part == number + 1
        placed = [motion.place(here[mine], state) for state in range(counts[number])]
        center[:, mine] = np.stack(placed)[grid[:, number]]
    coordinate = [motion.coordinate[grid[:, i]] for i, motion in enumerate(motions)]
    moving = beads.part > 0 if motions else beads.removed
    cyclic = any(motion.cyclic for motion in motions)
    return beads.assemble(center - place, coordinate, moving, cyclic, place)


def move_frames(
    structure: Structure,
    frames: Float[np.ndarray, "frames atoms 3"],
    options: MotionOptions,
    pixel_size: float,
) -> MovingMolecule:
    """The states of a molecule whose atoms go through the frames of a trajectory or an ensemble.

    Parameters
    ----------
    structure
        The atoms.
    frames
        Where they are, Å, in the order of the motion.
    options
        What half of the states lack; whether frames are superposed.
    pixel_size
        Of the images, Å.
    """
    frames = frames.astype(np.float64)
    if options.superpose:
        frames = np.stack([_superpose(frame, frames[0], structure.mass) for frame in frames])
    place = np.average(frames.mean(axis=0), axis=0, weights=structure.mass)
    removed = _removed(structure, options)
    part = np.zeros(len(structure), dtype=np.int64)
    beads = _Beads(frames[0] - place, part, structure.mass, removed, pixel_size)
    center = np.stack([beads.pool(frame - place) for frame in frames])
    way = np.linalg.norm(center - center.mean(axis=0), axis=-1).max(axis=0)
    moving = way >= min(_SEEN, way.max() / 2)
    return beads.assemble(center, [np.linspace(0, 1, len(frames))], moving, False, place)


def still_model(
    structure: Structure,
    pixel_size: float,
    place: tuple[float, float, float] | None = None,
) -> MovingMolecule:
    """A molecule that stays as it is; the models of a file are its states.

    Parameters
    ----------
    structure
        Of one model, or an ensemble.
    pixel_size
        Of the maps, Å: the Gaussians are as coarse as that.
    place
        What becomes the centre of the box, (x, y, z) in the frame of the file, Å; by default the
        centre of mass.
    """
    position = structure.position.astype(np.float64)
    mean = np.average(position.mean(axis=0), axis=0, weights=structure.mass)
    middle = mean if place is None else np.array(place, np.float64)
    part = np.zeros(len(structure), dtype=np.int64)
    beads = _Beads(position[0] - middle, part, structure.mass, None, pixel_size)
    center = np.stack([beads.pool(model - middle) for model in position])
    moving = np.ones(len(beads.mass), dtype=bool)
    return beads.assemble(center, [np.zeros(len(center))], moving, False, middle)


class _Beads:
    """Atoms pooled by cells of space; each state uses the same cells.

    Atoms of different parts, or of which only one kind is removed, never share a bead.
    """

    def __init__(
        self,
        position: Float64[np.ndarray, "atoms 3"],
        part: Int64[np.ndarray, "atoms"],
        mass: Float[np.ndarray, "atoms"],
        removed: Bool[np.ndarray, "atoms"] | None,
        pixel_size: float,
    ) -> None:
        edge = max(_LEAST_BEAD, _BEAD_PIXELS * pixel_size)
        absent = np.zeros(len(mass), dtype=bool) if removed is None else removed
        cell = np.floor(position / edge).astype(np.int64)
        key = np.concatenate([part[:, None], absent[:, None], cell], axis=1)
        unique, bead = np.unique(key, axis=0, return_inverse=True)
        self.width = _WIDTH * edge
        self.part: Int64[np.ndarray, "beads"] = unique[:, 0]
        self.removed: Bool[np.ndarray, "beads"] = unique[:, 1] > 0
        self.mass: Float64[np.ndarray, "beads"] = np.bincount(bead.ravel(), mass)
        self._bead = bead.ravel()
        self._atom_mass = mass

    def pool(self, position: Float64[np.ndarray, "atoms 3"]) -> Float64[np.ndarray, "beads 3"]:
        """Centre of mass of each bead's atoms."""
        axes = [np.bincount(self._bead, self._atom_mass * axis) / self.mass for axis in position.T]
        return np.stack(axes, axis=1)

    def assemble(
        self,
        center: Float64[np.ndarray, "states beads 3"],
        coordinate: Sequence[Float64[np.ndarray, "states"]],
        moving: Bool[np.ndarray, "beads"],
        cyclic: bool,
        place: Float64[np.ndarray, "3"],
    ) -> MovingMolecule:
        """The states; all of them twice, without and with, where something is removed."""
        mass = np.repeat(self.mass[None], len(center), axis=0)
        has_ligand = None
        columns = [*coordinate, *(np.zeros(len(center)) for _ in range(2 - len(coordinate)))]
        if self.removed.any():
            has_ligand = torch.arange(2).repeat_interleave(len(center))
            mass = np.concatenate([np.where(self.removed, 0.0, mass), mass])
            center = np.concatenate([center, center])
            columns = [np.tile(column, 2) for column in columns]
        amplitude = torch.from_numpy(mass).float()
        width = torch.full_like(amplitude, self.width)
        first, second = (torch.from_numpy(column).float() for column in columns)
        return MovingMolecule(
            states=GaussianModel(torch.from_numpy(center).float(), amplitude, width),
            coordinate=first,
            has_ligand=has_ligand,
            moving=torch.from_numpy(np.flatnonzero(moving)),
            cyclic=cyclic,
            second_coordinate=second if len(coordinate) == 2 else None,
            place=(float(place[0]), float(place[1]), float(place[2])),
        )


def _removed(structure: Structure, options: MotionOptions) -> Bool[np.ndarray, "atoms"] | None:
    if not options.without:
        return None
    removed = select_atoms(structure, options.without)
    if removed.all():
        raise OptionError(
            f"--without {options.without}: must leave some atoms of {structure.source}, got all"
        )
    return removed


def _require_independent(motions: Sequence[RigidMotion]) -> None:
    if len(motions) < 2:
        return
    both = int((motions[0].moved & motions[1].moved).sum())
    if both:
        raise OptionError(f"--motion: two motions must move different atoms, got {both} in both")
    if motions[0].cyclic != motions[1].cyclic:
        raise OptionError("--motion: two motions must both be full turns or neither, got one")


def _require_memory(counts: Sequence[int], beads: int) -> None:
    gigabytes = math.prod(counts) * beads * 12e-9
    if gigabytes > _MOST_GIGABYTES:
        raise OptionError(
            f"--states: {' x '.join(map(str, counts))} states of {beads} Gaussians must take at "
            f"most {_MOST_GIGABYTES} GB, got {gigabytes:.1f} GB"
        )


def _superpose(
    frame: Float64[np.ndarray, "atoms 3"],
    target: Float64[np.ndarray, "atoms 3"],
    mass: Float[np.ndarray, "atoms"],
) -> Float64[np.ndarray, "atoms 3"]:
    """`frame` turned and shifted to the least mass-weighted distance from `target`."""
    middle = np.average(frame, axis=0, weights=mass)
    aim = np.average(target, axis=0, weights=mass)
    rotation, _ = Rotation.align_vectors(target - aim, frame - middle, weights=mass)
    return rotation.apply(frame - middle) + aim


def choose_frames(count: int, states: int, source: str) -> Int64[np.ndarray, "states"]:
    """Frames spread evenly over a trajectory, its first and last among them; 0 takes all.

    Raises
    ------
    InputFileError
        If there are fewer frames than that.
    """
    if states > count:
        raise InputFileError(f"{source}: {states} states need as many frames, it holds {count}")
    if count < 2:
        raise InputFileError(f"{source}: a motion needs at least two frames, it holds {count}")
    return np.linspace(0, count - 1, states or count).round().astype(np.int64)
