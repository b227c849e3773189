"""What is kept of particles: half precision of known error, up to a limit and no further."""

import pytest
import torch

from cryomix.fitting.particle_cache import (
    CompactBatch,
    ParticleCache,
    compress,
    compress_image,
    empty_batch,
    expand_gradient,
    expand_image,
)
from cryomix.geometry.fourier import FourierGrid

CPU = torch.device("cpu")
EACH = 4 * 7 + 10 * 3 + 24


def numbered(index):
    """Particles of 7 coefficients and 3 Gaussians that hold nothing but their own number."""
    number = index.float()
    return CompactBatch(
        number.half()[:, None, None].repeat(1, 7, 2),
        number.half()[:, None, None].repeat(1, 3, 5),
        number[:, None].repeat(1, 5),
        number.clone(),
    )


def numbers_in(batch):
    for values in (batch.image, batch.gradient, batch.gradient_scale):
        assert (values.float().flatten(1) == batch.neutral_score[:, None]).all()
    return batch.neutral_score.tolist()


@pytest.fixture
def cache():
    return ParticleCache(20, 7, 3, 4.5 * EACH, CPU)


def test_the_limit_is_kept(cache):
    assert cache.capacity == 4
    kept = sum(values.numel() * values.element_size() for values in vars_of(cache._kept))
    assert kept == 4 * EACH
    assert ParticleCache(20, 7, 3, 1e9, CPU).capacity == 20
    assert ParticleCache(20, 7, 3, 0.0, CPU).capacity == 0


def test_the_first_ones_stay_and_others_are_passed_over(cache):
    for part in ([9, 3], [3, 5, 9, 11, 15], [1, 2]):
        index = torch.tensor(part)
        cache.keep(index, numbered(index))
    assert len(cache) == 4
    assert cache.missing(torch.arange(20)).tolist() == [
        number for number in range(20) if number not in (3, 5, 9, 11)
    ]
    nothing = empty_batch(7, 3, CPU)
    none = torch.tensor([], dtype=torch.int64)
    found = cache.gather(torch.tensor([11, 3, 3, 9, 5]), none, nothing)
    assert numbers_in(found) == [11, 3, 3, 9, 5]


def test_kept_and_new_ones_are_put_in_order(cache):
    index = torch.tensor([4, 6, 8])
    cache.keep(index, numbered(index))
    wanted = torch.tensor([19, 6, 0, 4, 19, 7, 4])
    missing = cache.missing(wanted)
    assert missing.tolist() == [0, 7, 19]
    assert numbers_in(cache.gather(wanted, missing, numbered(missing))) == wanted.tolist()


def test_one_that_was_kept_meanwhile_may_be_given_once_more(cache):
    wanted = torch.tensor([2, 1])
    missing = cache.missing(wanted)
    cache.keep(torch.tensor([2]), numbered(torch.tensor([2])))
    cache.keep(missing, numbered(missing))
    assert len(cache) == 2
    assert numbers_in(cache.gather(wanted, missing, numbered(missing))) == [2, 1]


def test_the_gradient_keeps_three_digits_of_every_parameter():
    """Positions may be a thousand times stronger than widths; each has its own unit."""
    generator = torch.Generator().manual_seed(0)
    strength = torch.tensor([1e6, 1e6, 1e6, 1.0, 1e-6])
    gradient = torch.randn(40, 300, 5, generator=generator) * strength
    gradient[7] = 0
    image = torch.zeros(40, 2, 2).half()
    again = expand_gradient(compress(image, gradient, torch.zeros(40)))
    error = (again - gradient).norm(dim=1) / gradient.norm(dim=1).clamp_min(1e-30)
    assert error.max() < 4e-4
    assert error[:, 4].max() > 1e-5, "half precision leaves a trace"
    assert (again[7] == 0).all()


def test_images_keep_three_digits_inside_the_band():
    grid = FourierGrid(16, 2.0)
    generator = torch.Generator().manual_seed(1)
    image_ft = 16 * torch.randn(6, 16, 9, dtype=torch.complex64, generator=generator)
    image_ft[0, 0, 1] = 16**2 / 2  # all of an image's variance in one wave
    band = ((grid.ring >= 1) & (grid.ring <= 6)).flatten().nonzero()[:, 0]
    again = expand_image(compress_image(image_ft, band), band, grid)
    outside = (grid.ring < 1) | (grid.ring > 6)
    assert (again[:, outside] == 0).all()
    difference = (again - image_ft)[:, ~outside]
    error = difference.norm(dim=1) / image_ft[:, ~outside].norm(dim=1)
    assert 1e-5 < error.max() < 4e-4


def test_a_wave_in_a_large_box_does_not_overflow():
    image_ft = torch.zeros(1, 2048, 1025, dtype=torch.complex64)
    image_ft[0, 0, 3] = 2048**2 / 2**0.5
    image = compress_image(image_ft, torch.tensor([3]))
    assert image.isfinite().all()
    assert float(image[0, 0, 0]) == pytest.approx(2048 / 2**0.5, rel=1e-3)


def vars_of(batch):
    return [getattr(batch, name) for name in CompactBatch.__slots__]
