"""The states that simulated particles were made from, and which particle is in which state."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from cryomix.errors import BoxMismatchError, InputFileError
from cryomix.geometry.poses import Poses, euler_to_rotation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.particles import Particles

COORDINATES = ("t", "a", "b")  # of motions, from 0 to 1
CLASS = "c"
_NEEDED = ("which", "states", "amps", "sigma", "apix", "box", "euler", "origin")


@dataclass(frozen=True, slots=True)
class TrueStates:
    """What particles look like in truth.

    Attributes
    ----------
    model
        One model per state; only the ratios of their amplitudes are known.
    coordinate
        Of each state, by name: ``t``, ``a``, ``b`` of motions, ``c`` of classes.
    cyclic
        Whether 0 and 1 of a motion are the same.
    state
        Of each particle.
    poses
        The true ones.
    box_size, pixel_size
        Of the images, pixels and Å.
    """

    model: GaussianModel
    coordinate: Mapping[str, Float[np.ndarray, "states"]]
    cyclic: bool
    state: Int64[Tensor, "particles"]
    poses: Poses
    box_size: int
    pixel_size: float

    def __len__(self) -> int:
        """Number of states."""
        return len(self.model.center)


def read_states(truth: Mapping[str, np.ndarray]) -> TrueStates | None:
    """The states in the arrays of a truth file; None where it holds no states.

    ``which`` is the state of each particle; ``states`` (states, Gaussians, 3) are centres in Å,
    ``amps`` their masses, ``sigma`` their width in Å, one or one for each Gaussian; ``euler``
    (degrees) and ``origin`` (Å) are true poses with RELION's signs; ``apix`` and ``box`` are those
    of the images.

    Raises
    ------
    InputFileError
        If an array is missing, of a wrong shape or out of range, or if particles of one state
        differ in a coordinate.
    """
    if "states" not in truth:
        return None
    missing = [name for name in _NEEDED if name not in truth]
    if missing:
        raise InputFileError(
            f"the truth has states, so it must hold {missing[0]}, which is missing"
        )
    _require_shapes(truth)
    state = truth["which"].astype(np.int64)
    count = len(truth["states"])
    if state.min() < 0 or state.max() >= count:
        wrong = state.min() if state.min() < 0 else state.max()
        raise InputFileError(f"the truth's which must be from 0 to {count - 1}, got {wrong}")
    rotation = euler_to_rotation(torch.from_numpy(truth["euler"].astype(np.float64)))
    return TrueStates(
        model=_to_model(truth),
        coordinate=_coordinates(truth, state, count),
        cyclic=bool(np.all(truth["cyclic"])) if "cyclic" in truth else False,
        state=torch.from_numpy(state),
        poses=Poses(rotation.float(), -torch.from_numpy(truth["origin"].astype(np.float32))),
        box_size=int(truth["box"]),
        pixel_size=float(truth["apix"]),
    )


def at_true_poses(particles: Particles, states: TrueStates) -> Particles:
    """The particles as if their poses had been found without error.

    Raises
    ------
    InputFileError
        If the truth is of other particles.
    """
    if len(particles) != len(states.state):
        raise InputFileError(
            f"the truth is of {len(states.state)} particles, but the job has {len(particles)}"
        )
    here = (particles.box_size, particles.pixel_size)
    if particles.box_size != states.box_size or not np.isclose(here[1], states.pixel_size, 1e-3):
        raise BoxMismatchError(
            f"the truth is of images of {states.box_size} pixels of {states.pixel_size:g} Å, "
            f"but the job's have {here[0]} of {here[1]:g} Å"
        )
    return replace(particles, poses=states.poses)


def still_part(model: GaussianModel) -> Bool[Tensor, "gaussians"]:
    """Which Gaussians are the same in every one of a batch of models."""
    same_place = (model.center == model.center[0]).all(-1).all(0)
    same_mass = (model.amplitude == model.amplitude[0]).all(0)
    return same_place & same_mass & (model.width == model.width[0]).all(0)


def _require_shapes(truth: Mapping[str, np.ndarray]) -> None:
    particles = len(np.atleast_1d(truth["which"]))
    states = truth["states"]
    if states.ndim != 3 or states.shape[2] != 3 or 0 in states.shape:
        raise InputFileError(
            f"the truth's states must be of shape (states, Gaussians, 3), got {states.shape}"
        )
    expected = {
        "which": [(particles,)],
        "amps": [states.shape[:2]],
        "sigma": [(), states.shape[1:2]],
        "euler": [(particles, 3)],
        "origin": [(particles, 2)],
        "apix": [()],
        "box": [()],
    }
    for name, shapes in expected.items():
        if truth[name].shape not in shapes:
            raise InputFileError(
                f"the truth's {name} must be of shape {shapes[-1]}, got {truth[name].shape}"
            )
    for name in _NEEDED:
        if truth[name].dtype.kind not in "iufb" or not np.isfinite(truth[name]).all():
            raise InputFileError(f"the truth's {name} must be finite numbers")
    for name in ("sigma", "apix", "box"):
        if not (truth[name] > 0).all():
            raise InputFileError(f"the truth's {name} must be positive, got {truth[name].min():g}")


def _to_model(truth: Mapping[str, np.ndarray]) -> GaussianModel:
    center = torch.from_numpy(truth["states"].astype(np.float32))
    mass = torch.from_numpy(truth["amps"].astype(np.float32))
    width = torch.from_numpy(np.asarray(truth["sigma"], dtype=np.float32)).expand(mass.shape)
    # Scaled, because the mass of a Gaussian of 3 Å is some 400 times its amplitude.
    ratio = (width[0, 0] / width) ** 3
    return GaussianModel(center, mass * ratio, width.contiguous())


def _coordinates(
    truth: Mapping[str, np.ndarray], state: Int64[np.ndarray, "particles"], count: int
) -> dict[str, Float[np.ndarray, "states"]]:
    """Of each state; NaN for one that no particle is in."""
    found = {}
    for name in (*COORDINATES, CLASS):
        if name not in truth:
            continue
        per_particle = np.asarray(truth[name], dtype=np.float64)
        if per_particle.shape != state.shape:
            raise InputFileError(
                f"the truth's {name} must hold one value for each of {len(state)} particles, "
                f"got {per_particle.shape}"
            )
        per_state = np.full(count, np.nan)
        per_state[state] = per_particle
        if not np.allclose(per_state[state], per_particle, atol=1e-6):
            raise InputFileError(
                f"the truth's {name} must be the same for all particles of one state"
            )
        found[name] = per_state
    return found
