"""How the metadata of particles can be misread, and the particles as each reading has them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.geometry.poses import Poses, euler_to_rotation, rotation_to_euler
from cryomix.imaging.ctf import Ctf
from cryomix.imaging.particles import Particles

Transfer = Literal["signed", "absolute", "none"]
Astigmatism = Literal["as given", "exchanged", "mirrored"]

AS_GIVEN = "as given"


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the metadata.

    Attributes
    ----------
    rotation
        A key of `ROTATIONS`.
    shift
        What the shifts are multiplied with; 0 sets them aside.
    transfer
        The CTF that is still in the images: with its signs, its absolute value, or none.
    defocus
        What the defocus is multiplied with.
    astigmatism
        ``exchanged``: defocus U stands for V; ``mirrored``: its angle runs the other way.
    """

    rotation: str = AS_GIVEN
    shift: float = 1.0
    transfer: Transfer = "signed"
    defocus: float = 1.0
    astigmatism: Astigmatism = "as given"


def reading_given(particles: Particles) -> Reading:
    """The one that the metadata say."""
    return Reading(transfer="absolute" if particles.has_flipped_phases else "signed")


def read_as(particles: Particles, reading: Reading) -> Particles:
    """`particles` with the metadata that `reading` takes to be meant."""
    return replace(
        particles,
        poses=read_poses_as(particles.poses, reading),
        ctf=read_ctf_as(particles.ctf, reading),
        has_flipped_phases=reading.transfer == "absolute",
    )


def read_poses_as(poses: Poses, reading: Reading) -> Poses:
    """Rotations and shifts that `reading` takes to be meant."""
    turned = ROTATIONS[reading.rotation](poses)
    return Poses(turned.rotation, turned.shift * reading.shift)


def read_ctf_as(ctf: Ctf, reading: Reading) -> Ctf:
    """The CTF that `reading` takes to be in the images; 1 everywhere if it takes none."""
    if reading.transfer == "none":
        zero = torch.zeros_like(ctf.defocus_u)
        return Ctf(zero, zero, zero, ctf.voltage_kv, zero, torch.ones_like(zero), zero)
    angle = ctf.defocus_angle_deg
    if reading.rotation in ("images flipped in x", "images flipped in y"):
        angle = -angle
    if reading.rotation == "images transposed":
        angle = 90 - angle
    if reading.astigmatism == "exchanged":
        angle = angle + 90
    if reading.astigmatism == "mirrored":
        angle = -angle
    return replace(
        ctf,
        defocus_u=ctf.defocus_u * reading.defocus,
        defocus_v=ctf.defocus_v * reading.defocus,
        defocus_angle_deg=angle,
    )


def _transposed(poses: Poses) -> Poses:
    return Poses(poses.rotation.mT.contiguous(), poses.shift)


def _negated(poses: Poses) -> Poses:
    return Poses(euler_to_rotation(-rotation_to_euler(poses.rotation)), poses.shift)


def _exchanged(poses: Poses) -> Poses:
    return Poses(euler_to_rotation(rotation_to_euler(poses.rotation).flip(-1)), poses.shift)


def _shuffled(poses: Poses) -> Poses:
    # Not of a neighbour, which may be the same image in another asymmetric unit.
    return Poses(poses.rotation.roll(len(poses) // 2, 0), poses.shift)


def _mirrored(*signs: float) -> Callable[[Poses], Poses]:
    # A mirrored map seen by R is the map seen by R times the mirror.
    return lambda poses: Poses(poses.rotation * torch.tensor(signs), poses.shift)


def _flipped(matrix: Float[Tensor, "3 3"]) -> Callable[[Poses], Poses]:
    # A flipped image shows the molecule from behind: a proper rotation of the view.
    return lambda poses: Poses(matrix @ poses.rotation, poses.shift @ matrix[:2, :2].mT)


ROTATIONS: dict[str, Callable[[Poses], Poses]] = {
    AS_GIVEN: lambda poses: poses,
    "transposed": _transposed,
    "negated": _negated,
    "exchanged": _exchanged,
    "shuffled": _shuffled,
    "mirrored in x": _mirrored(-1.0, 1.0, 1.0),
    "mirrored in y": _mirrored(1.0, -1.0, 1.0),
    "mirrored in z": _mirrored(1.0, 1.0, -1.0),
    "mirrored through its centre": _mirrored(-1.0, -1.0, -1.0),
    "images flipped in x": _flipped(torch.tensor([[-1.0, 0, 0], [0, 1, 0], [0, 0, -1]])),
    "images flipped in y": _flipped(torch.tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])),
    "images transposed": _flipped(torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])),
}

TURNED = ("transposed", "negated", "exchanged")
MIRRORED = tuple(name for name in ROTATIONS if name.startswith("mirrored"))
FLIPPED = tuple(name for name in ROTATIONS if name.startswith("images"))
