"""Binary frames between page and server: a place is asked for, its Gaussians come back.

All numbers are little-endian. A question is ``number u32, version u32, kind u8, x u8, y u8, 0 u8``
and then two float32, a place on the map of columns x and y, or a whole latent. An answer is
``number u32, gaussians u32, latents u32, reach f32`` and then float32: the latent, centers,
amplitudes, widths. One without Gaussians and latents says that the question is of another version
of the job than the server has: its columns may have other places there, so it must be asked anew.
A map is ``voxels along an edge u32, voxel size f32, largest density f32, contour f32`` and then
float32: the density, axes z, y, x; voxel n // 2 lies at the origin of the Gaussians.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.masking import contour_level
from cryomix.imaging.volume import Volume, crop_volume

_QUESTION = struct.Struct("<IIBBBB")
_ANSWER = struct.Struct("<IIIf")
_MAP = struct.Struct("<Ifff")
_MOST_VOXELS = 128  # along an edge: a page draws no more of them as it is dragged


class Asked(IntEnum):
    """What the numbers of a question mean."""

    IN_PLANE = 0  # of linear axes; all other directions stay at the particles' mean
    AMONG_PARTICLES = 1  # the mean of the particles near that place
    LATENT = 2


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes
    ----------
    number
        Comes back with the answer.
    version
        Of the job, as the page was told it.
    kind
        What `value` is.
    columns
        Places of the two columns in the list that the page was given.
    value
        Coordinates on the map, or a latent.
    """

    number: int
    version: int
    kind: Asked
    columns: tuple[int, int]
    value: Float[np.ndarray, "numbers"]


def read_question(frame: bytes) -> Question:
    """Raise a `ValueError` unless the frame is a question."""
    if len(frame) < _QUESTION.size or (len(frame) - _QUESTION.size) % 4:
        raise ValueError(f"a question of {len(frame)} bytes is none")
    number, version, kind, x, y, _ = _QUESTION.unpack_from(frame)
    value = np.frombuffer(frame, "<f4", offset=_QUESTION.size).astype(np.float32)
    if not np.isfinite(value).all():
        raise ValueError("a place must be finite")
    return Question(number, version, Asked(kind), (x, y), value)


def write_answer(
    number: int, latent: Float[np.ndarray, "latent"], model: GaussianModel, reach: float
) -> bytes:
    """The Gaussians of one model; `reach` is NaN where it is not known."""
    parts = [model.center.flatten(), model.amplitude, model.width]
    numbers = [part.numpy().astype("<f4").tobytes() for part in parts]
    head = _ANSWER.pack(number, len(model), len(latent), reach)
    return b"".join([head, latent.astype("<f4").tobytes(), *numbers])


def write_stale(number: int) -> bytes:
    """That a question is of another version of the job."""
    return _ANSWER.pack(number, 0, 0, float("nan"))


def write_map(volume: Volume) -> bytes:
    """One map; one of more than 128 voxels along an edge is sampled by as many.

    Raises
    ------
    ValueError
        If it has no positive density.
    """
    shown = crop_volume(volume, min(volume.box_size, _MOST_VOXELS))
    density = shown.density.numpy().astype("<f4")
    level = contour_level(shown)
    head = _MAP.pack(shown.box_size, shown.voxel_size, float(density.max()), level)
    return head + density.tobytes()
