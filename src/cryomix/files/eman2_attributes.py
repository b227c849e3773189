"""What EMAN2 says of a particle, in headers of images and in lists, as numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64

from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import Ctf

PIXEL_SIZE, CTF, FLIPPED, TRANSFORM, CLASS = (
    "apix_x",
    "ctf",
    "ctf_phase_flipped",
    "xform.projection",
    "class",
)
KEYS = (PIXEL_SIZE, CTF, FLIPPED, TRANSFORM, CLASS)
WIDTH = 22

# Of the CTF; its B factor, background and signal-to-noise curves describe the power spectrum of
# the micrograph, and were not applied to the images.
_CTF_KEYS = ("defocus", "dfdiff", "dfang", "ampcont", "voltage", "cs", "apix")
_CTF_PLACES = (0, 1, 2, 4, 5, 6, 7)  # of these in the string, where the B factor is number 3
_COLUMNS = {
    PIXEL_SIZE: slice(0, 1),
    CTF: slice(1, 8),
    FLIPPED: slice(8, 9),
    TRANSFORM: slice(9, 21),
    CLASS: slice(21, 22),
}
_LONGEST_MATRIX = 1000  # characters of twelve numbers
_TOLERANCE = 1e-3  # of a rotation matrix; EMAN2 writes six digits


@dataclass(frozen=True, slots=True)
class Attributes:
    """Numbers of each particle, in EMAN2's conventions; NaN where nothing is said.

    Attributes
    ----------
    values
        One row of `parse_attributes` per particle.
    """

    values: Float64[np.ndarray, "particles 22"]

    def __len__(self) -> int:
        return len(self.values)

    def column(self, key: str) -> Float64[np.ndarray, "particles numbers"]:
        """The numbers of one of `KEYS`."""
        return self.values[:, _COLUMNS[key]]

    def single(self, key: str) -> Float64[np.ndarray, "particles"]:
        """The number of one of `KEYS` that holds one."""
        return self.column(key)[:, 0]

    def missing(self, key: str) -> Int64[np.ndarray, "rows"]:
        """Rows that say nothing of one of `KEYS`."""
        return np.flatnonzero(np.isnan(self.column(key)[:, 0]))

    def over(self, other: "Attributes") -> "Attributes":
        """These, and those of `other` where these say nothing."""
        return Attributes(np.where(np.isnan(self.values), other.values, self.values))

    @property
    def ctf_pixel_size(self) -> Float64[np.ndarray, "particles"]:
        """Pixel size at which the CTF was measured, Å; that of the images may differ."""
        return self.column(CTF)[:, 6]

    @property
    def amplitude_contrast_percent(self) -> Float64[np.ndarray, "particles"]:
        """With the phase shift of a phase plate in it."""
        return self.column(CTF)[:, 3]


def nothing_said(particles: int) -> Attributes:
    """Attributes of which none is given."""
    return Attributes(np.full((particles, WIDTH), np.nan))


def parse_attributes(found: Mapping[str, object]) -> Float64[np.ndarray, "22"]:
    """The numbers in the values of `KEYS`, as JSON or an HDF5 header gives them.

    Raises
    ------
    ValueError
        If a value is none that EMAN2 writes, or not finite.
    """
    values = np.full(WIDTH, np.nan)
    for key, columns in _COLUMNS.items():
        if key in found:
            value = found[key]
            if key == CTF:
                numbers = parse_ctf(value)
            elif key == TRANSFORM:
                numbers = parse_transform(value)
            else:
                numbers = [_number(value, key)]
            values[columns] = numbers
    return values


def parse_ctf(value: object) -> list[float]:
    """Defocus, its difference (µm) and angle (°), ampcont (%), voltage (kV), Cs (mm), apix (Å).

    `value` is EMAN2's string ``E1.2 0 0 50 10 300 2.7 1.5 …`` or its JSON object.
    """
    if isinstance(value, str):
        words = value[1:].split(maxsplit=len(_CTF_KEYS) + 1)
        if not value.startswith("E") or len(words) <= _CTF_PLACES[-1]:
            raise ValueError(
                f"{CTF} must be that of EMAN2, which begins with E, got {value[:20]!r}"
            )
        given: list[object] = [words[place] for place in _CTF_PLACES]
        try:
            given = [float(str(word)) for word in given]
        except ValueError as error:
            raise ValueError(f"{CTF} must hold numbers, got {value[:40]!r}") from error
    elif isinstance(value, Mapping) and all(key in value for key in _CTF_KEYS):
        given = [value[key] for key in _CTF_KEYS]
    else:
        raise ValueError(f"{CTF} must be that of EMAN2, got {str(value)[:40]!r}")
    return [
        _number(number, f"{key} of {CTF}") for key, number in zip(_CTF_KEYS, given, strict=True)
    ]


def parse_transform(value: object) -> list[float]:
    """Three rows of a rotation and a shift, of a JSON object with text or numbers, or of numbers.

    Raises
    ------
    ValueError
        If it is something else, or a number is not finite.
    """
    matrix = value.get("matrix") if isinstance(value, Mapping) else value
    if isinstance(matrix, str) and len(matrix) <= _LONGEST_MATRIX:
        try:
            matrix = [float(word) for word in matrix.strip(" ()[]").split(",")]
        except ValueError as error:
            raise ValueError(f"{TRANSFORM} must hold numbers, got {matrix[:40]!r}") from error
    if not isinstance(matrix, list | tuple) or len(matrix) != 12:
        raise ValueError(f"{TRANSFORM} must be a Transform of 12 numbers, got {str(value)[:40]!r}")
    return [_number(number, TRANSFORM) for number in matrix]


def to_poses(attributes: Attributes, pixel_size: float) -> Poses:
    """Poses of EMAN2's Transforms, which turn the model first and then move it, in pixels.

    Raises
    ------
    ValueError
        If one is no rotation, naming its row.
    """
    matrix = attributes.column(TRANSFORM).reshape(-1, 3, 4)
    rotation = matrix[:, :, :3]
    error = np.abs(rotation @ rotation.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    bad = np.flatnonzero((error > _TOLERANCE) | (np.linalg.det(rotation) < 0))
    if len(bad):
        raise ValueError(
            f"row {bad[0] + 1}: {TRANSFORM} must be a rotation without mirror or scale, got "
            f"{rotation[bad[0]].tolist()}"
        )
    shift = matrix[:, :2, 3] * pixel_size
    return Poses(torch.from_numpy(rotation).float(), torch.from_numpy(shift).float())


def to_transform(poses: Poses, pixel_size: float) -> Float64[np.ndarray, "particles 12"]:
    """EMAN2's Transforms of `poses`, the inverse of `to_poses`."""
    matrix = np.zeros((len(poses), 3, 4))
    matrix[:, :, :3] = poses.rotation.double().numpy()
    matrix[:, :2, 3] = poses.shift.double().numpy() / pixel_size
    return matrix.reshape(-1, 12)


def to_ctf(attributes: Attributes) -> Ctf:
    """Contrast transfer; EMAN2 gives µm, and one angle for amplitude contrast and phase plate.

    That angle is asin(ampcont / 100) up to 100 %; beyond ±100 the number goes on counting, from
    the pole back, up to a phase of ±180°.

    Raises
    ------
    ValueError
        If a voltage is not positive or an amplitude contrast is beyond ±200 %, naming the row.
    """
    defocus, difference, angle, percent, voltage, aberration, _ = attributes.column(CTF).T
    bad = np.flatnonzero(voltage <= 0)
    if len(bad):
        raise ValueError(
            f"row {bad[0] + 1}: voltage of {CTF} must be above 0, got {voltage[bad[0]]:g}"
        )
    fraction = percent / 100
    bad = np.flatnonzero(np.abs(fraction) > 2)
    if len(bad):
        raise ValueError(
            f"row {bad[0] + 1}: ampcont of {CTF} must be between -200 and 200 %, "
            f"got {percent[bad[0]]:g}"
        )
    plain = np.abs(fraction) < 1
    beyond = np.sign(fraction) * (math.pi - np.arcsin(np.clip(2 - np.abs(fraction), -1, 1)))
    columns = (
        (defocus + difference / 2) * 1e4,  # µm to Å
        (defocus - difference / 2) * 1e4,
        angle,
        voltage,
        aberration,
        np.where(plain, fraction, 0.0),
        np.where(plain, 0.0, np.rad2deg(beyond)),
    )
    return Ctf(*(torch.from_numpy(np.ascontiguousarray(column)).float() for column in columns))


def _number(value: object, key: str) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} must be a finite number, got {str(value)[:40]!r}")
    return float(value)
