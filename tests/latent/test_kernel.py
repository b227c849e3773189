"""How much particles count: effective numbers, and kernels that reach them."""

from itertools import pairwise

import pytest
import torch

from cryomix.latent.kernel import effective_number, fit_kernel, kernel_sizes, sharpness_of


def test_the_effective_number_is_that_of_equal_weights():
    assert effective_number(torch.tensor([2.0] * 7 + [0.0] * 5)) == pytest.approx(7)
    # Variance of a weighted mean of unit noise is Σw² / (Σw)² = 1 / effective number.
    weight = torch.tensor([3.0, 1.0, 1.0])
    assert effective_number(weight) == pytest.approx(25 / 11)


def test_sharpness_gives_the_wanted_number():
    distance = torch.rand(5000, generator=torch.Generator().manual_seed(0)).square()
    sizes = [200.0, 333.0, 2500.0, 4990.0]
    for size, slope in zip(sizes, sharpness_of(distance, sizes), strict=True):
        weight = (1 - slope * distance).clamp_min(0)
        assert effective_number(weight) == pytest.approx(size, rel=1e-3)


def test_all_particles_count_the_same_where_all_are_wanted():
    distance = torch.rand(100, generator=torch.Generator().manual_seed(1))
    assert sharpness_of(distance, [100.0]).tolist() == [0.0]
    assert (sharpness_of(distance, [99.0]) > 0).all()


def test_latents_that_lie_on_each_other_count_the_same():
    distance = torch.zeros(50)
    assert sharpness_of(distance, [10.0, 50.0]).isfinite().all()


def test_sizes_double_up_to_all():
    sizes = kernel_sizes(20000)
    assert sizes[-1] == 20000
    assert 100 <= sizes[0] < 200
    assert [big / small for small, big in pairwise(sizes)] == [2] * 7
    assert kernel_sizes(100) == [25, 50, 100]


def test_distances_are_in_units_of_what_images_tell_apart():
    """Known to 0.1 along x and to 2 along y: a step of 0.2 along x is as far as 4 along y."""
    latent = torch.tensor([[0.0, 0.0], [0.2, 0.0], [0.0, 4.0], [0.2, 4.0]])
    kernel = fit_kernel(latent, torch.diag(torch.tensor([0.01, 4.0])).expand(4, 2, 2))
    distance = kernel.square_distance(torch.zeros(1, 2))[0]
    torch.testing.assert_close(distance, torch.tensor([0.0, 4, 4, 8]).double(), rtol=1e-3, atol=0)
    some = kernel.square_distance(torch.zeros(1, 2), torch.tensor([2, 1]))[0]
    assert torch.equal(some, distance[[2, 1]])


def test_distances_do_not_depend_on_the_coordinates():
    generator = torch.Generator().manual_seed(2)
    latent = torch.randn(50, 3, generator=generator).double()
    half = torch.randn(50, 3, 3, generator=generator).double()
    covariance = half @ half.mT + 0.1 * torch.eye(3).double()
    turn = torch.randn(3, 3, generator=generator).double()
    plain = fit_kernel(latent, covariance).square_distance(latent[:2])
    turned = fit_kernel(latent @ turn.T, turn @ covariance @ turn.T)
    torch.testing.assert_close(
        turned.square_distance(latent[:2] @ turn.T), plain, rtol=1e-2, atol=1e-6
    )


def test_an_error_of_zero_leaves_distances_finite():
    latent = torch.arange(6.0)[:, None]
    kernel = fit_kernel(latent, torch.zeros(6, 1, 1))
    assert kernel.square_distance(latent).isfinite().all()
