"""Insertion of slices written as it reads: every coefficient of the full plane, full volume."""

import numpy as np
from numpy.typing import NDArray


def insert_slices_reference(
    coefficient: NDArray[np.complex64],
    power: NDArray[np.float32],
    rotation: NDArray[np.float32],
    weight: NDArray[np.float32],
    numerator: NDArray[np.complex128],
    total: NDArray[np.float64],
) -> None:
    """As `insert_slices`, but `numerator` and `total` are (p, p, p), z, y, x in FFT order."""
    n, padded = coefficient.shape[1], numerator.shape[0]
    frequency = np.rint(np.fft.fftfreq(n) * n).astype(int)
    k_y, k_x = np.meshgrid(frequency, frequency, indexing="ij")
    inside = k_x**2 + k_y**2 < n * n / 4
    ring = np.rint(np.hypot(k_x, k_y)).astype(int)[inside]
    for plane, squared, matrix, share in zip(coefficient, power, rotation, weight, strict=True):
        # Where k_x < 0 the half plane holds the conjugate, at −k.
        row = np.where(k_x < 0, -k_y, k_y) % n
        half = plane[row, abs(k_x)]
        factor = share[ring] if share.ndim else share
        value = factor * np.where(k_x < 0, half.conj(), half)[inside]
        weighted = factor * squared[row, abs(k_x)][inside]
        view = np.stack([k_x, k_y, 0 * k_x], axis=-1)[inside]
        position = view @ matrix * (padded / n)  # a plane wave k of the view is Rᵀ k
        corner = np.floor(position).astype(int)
        for offset in np.ndindex(2, 2, 2):
            at = corner + offset
            near = (1 - abs(position - at)).prod(axis=-1)
            x, y, z = at.T % padded
            np.add.at(numerator, (z, y, x), near * value)
            np.add.at(total, (z, y, x), near * weighted)
