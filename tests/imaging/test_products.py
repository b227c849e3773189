"""Compiled sums over products of images against plain PyTorch, in value and gradient."""

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, sum_over_rings
from cryomix.imaging.products import likelihood_products, ring_products


def images(grid, count, dtype=torch.complex128, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (count, grid.box_size, grid.half_size)
    return torch.randn(shape, generator=generator, dtype=dtype)


def plain_ring_products(first, second, grid):
    return (
        sum_over_rings((first * second.conj()).real, grid),
        sum_over_rings(first.abs().square(), grid),
        sum_over_rings(second.abs().square(), grid),
    )


@pytest.mark.parametrize("box_size", [16, 17])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_ring_products(box_size, dtype):
    grid = FourierGrid(box_size, 2.0)
    first, second = images(grid, 3, dtype), images(grid, 3, dtype, seed=1)
    for found, expected in zip(
        ring_products(first, second, grid), plain_ring_products(first, second, grid), strict=True
    ):
        torch.testing.assert_close(found, expected)


def test_ring_products_have_the_right_gradient():
    grid = FourierGrid(9, 2.0)
    first, second = (images(grid, 2, seed=seed).requires_grad_() for seed in (0, 1))
    assert torch.autograd.gradcheck(lambda a, b: ring_products(a, b, grid), (first, second))


def test_beyond_nyquist_nothing_counts():
    grid = FourierGrid(16, 2.0)
    first = torch.where(grid.ring >= grid.n_rings, images(grid, 1), 0)
    assert first.abs().max() > 0
    for sums in ring_products(first, first, grid):
        assert torch.equal(sums, torch.zeros_like(sums))


def test_likelihood_products():
    grid = FourierGrid(9, 2.0)
    projection, image = images(grid, 2).requires_grad_(), images(grid, 2, seed=1)
    generator = torch.Generator().manual_seed(2)
    transfer = torch.randn(projection.shape, generator=generator, dtype=torch.float64)
    gain, weight = torch.rand(2, *projection.shape[1:], generator=generator, dtype=torch.float64)
    cross, power = likelihood_products(image, projection, transfer, gain, weight)
    expected = projection * transfer * gain
    plain_cross = ((image * expected.conj()).real * weight).sum((1, 2))
    torch.testing.assert_close(cross, plain_cross)
    torch.testing.assert_close(power, (expected.abs().square() * weight).sum((1, 2)))
    assert torch.autograd.gradcheck(
        lambda p: likelihood_products(image, p, transfer, gain, weight), (projection,)
    )
