"""The compiled insertion against the obvious one."""

import numba
import numpy as np
import pytest
import torch

from cryomix.geometry.poses import random_poses
from cryomix.reconstruction.insertion import (
    _slab_edges,
    divide_by_weight,
    insert_slices,
    mean_over_shells,
)
from cryomix.reconstruction.insertion_reference import insert_slices_reference


@pytest.fixture
def slices():
    """Five slices of 12 × 12 with fixed noise, one of them lying on the grid."""
    noise = np.random.default_rng(0)
    image = noise.standard_normal((5, 12, 12))
    coefficient = np.fft.rfft2(image).astype(np.complex64)
    power = abs(np.fft.rfft2(noise.standard_normal((5, 12, 12)))).astype(np.float32)
    rotation = random_poses(5, torch.Generator().manual_seed(2)).rotation.numpy()
    rotation[0] = np.eye(3)
    weight = np.array([1.0, 0.5, 0.0, 2.0, 1.0], np.float32)
    return coefficient, power, rotation, weight


def half_volume(slices, padded):
    numerator = np.zeros((padded, padded, padded // 2 + 1), np.complex64)
    total = np.zeros(numerator.shape, np.float32)
    insert_slices(*slices, numerator, total)
    return numerator, total


@pytest.mark.parametrize("padded", [24, 18, 12])
def test_sums_equal_the_reference(slices, padded):
    numerator, total = half_volume(slices, padded)
    full = np.zeros((padded,) * 3, complex)
    full_total = np.zeros((padded,) * 3)
    insert_slices_reference(*slices, full, full_total)
    axis = np.fft.fftfreq(padded) * padded
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    for fast, slow in ((numerator, full), (total, full_total)):
        # Plane x = 0 belongs with its mirror image.
        fast[:, :, 0] += np.roll(fast[::-1, ::-1, 0], 1, axis=(0, 1)).conj()
        half = slow[:, :, : padded // 2 + 1]
        known = (radius < padded / 2)[:, :, : padded // 2 + 1]
        np.testing.assert_allclose(fast[known], half[known], atol=2e-4)


def test_division_completes_the_plane_that_is_its_own_mirror(slices):
    """The result is the half of a real volume: its inverse transform returns."""
    numerator, total = half_volume(slices, 24)
    out = np.empty_like(numerator)
    divide_by_weight(numerator, total, np.full(7, 0.1), np.full(7, 2.0), 12, out)
    plane = out[:, :, 0]
    mirror = np.roll(plane[::-1, ::-1], 1, axis=(0, 1)).conj()
    np.testing.assert_allclose(plane, mirror, atol=1e-5)
    inside = out[3, 2, 4]
    assert inside == pytest.approx(2 * numerator[3, 2, 4] / (total[3, 2, 4] + 0.1), rel=1e-5)
    assert not out[12].any()
    assert not out[:, :, 12].any()


def test_any_number_of_threads_gives_the_same_sums(slices):
    alone = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = half_volume(slices, 24)
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        many = half_volume(slices, 24)
    finally:
        numba.set_num_threads(alone)
    for first, second in zip(one, many, strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("slabs", [1, 2, 5, 64])
def test_slabs_cover_each_plane_once(slabs):
    edge = _slab_edges(24, slabs)
    assert edge[0] == -11
    assert edge[-1] == 12
    assert (np.diff(edge) >= 0).all()
    assert len(edge) == slabs + 1


def test_shell_means_count_voxels(slices):
    total = np.ones((24, 24, 13), np.float32)
    total[:, :, 0] = 0.5  # seen twice
    np.testing.assert_allclose(mean_over_shells(total, 12), np.ones(7))
    np.testing.assert_allclose(mean_over_shells(total, 12, np.full(7, 3.0)), np.full(7, 0.25))
    assert (mean_over_shells(np.zeros_like(total), 12, np.zeros(7)) == 0).all()
