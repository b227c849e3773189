"""Arrows as ChimeraX reads them: BILD files, positions in Å."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from cryomix.files.atomic import write_atomically

_RADIUS, _HEAD_RADIUS, _HEAD_LENGTH = 0.4, 1.2, 3.0  # Å
_LEAST_SHAFT = 0.4  # of a short arrow


def write_arrows(
    path: Path,
    start: Float[np.ndarray, "arrows 3"],
    end: Float[np.ndarray, "arrows 3"],
    color: Float[np.ndarray, "arrows 3"],
    note: str,
    *,
    thickness: float = 1.0,
) -> None:
    """Write arrows, each with a shaft and a head.

    Parameters
    ----------
    path
        Ends in .bild.
    start, end
        In the frame of the maps, Å.
    color
        Red, green and blue, 0 to 1.
    note
        A line about them for who opens the file.
    thickness
        Times that of the arrows of Gaussians.
    """
    length = np.linalg.norm(end - start, axis=1)
    shaft = np.maximum(_LEAST_SHAFT, 1 - thickness * _HEAD_LENGTH / np.maximum(length, 1e-9))
    radii = f"{thickness * _RADIUS:g} {thickness * _HEAD_RADIUS:g}"
    lines = [f".comment {note}"]
    for first, last, part, shade in zip(start, end, shaft, color, strict=True):
        lines.append(f".color {_numbers(shade)}")
        lines.append(f".arrow {_numbers(first)} {_numbers(last)} {radii} {part:.3f}")
    with write_atomically(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _numbers(values: Float[np.ndarray, "3"]) -> str:
    return " ".join(f"{value:.3f}" for value in values)
