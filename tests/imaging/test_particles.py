"""Reading particles batch by batch: normalisation, band limit, transfer."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.particles import (
    ImageStack,
    in_two_halves,
    iterate_batches,
    read_batch,
    working_grid,
)
from cryomix.imaging.projection_reference import project_gaussians_reference

ALL = torch.arange(5)


def test_images_get_mean_zero_and_variance_one(particles):
    stack = type(particles.images)(particles.images.images * 40 + 1000)
    batch = read_batch(replace(particles, images=stack), ALL, particles.grid)
    image = to_real(batch.image_ft)
    torch.testing.assert_close(image.mean(dim=(-2, -1)), torch.zeros(5), atol=1e-4, rtol=0)
    torch.testing.assert_close(image.std(dim=(-2, -1)), torch.ones(5), atol=1e-4, rtol=0)
    same = read_batch(particles, ALL, particles.grid)
    torch.testing.assert_close(batch.image_ft, same.image_ft, atol=0.03, rtol=0)


def test_a_blank_image_stays_finite(particles, memory_stack):
    blank = replace(particles, images=memory_stack(torch.full((5, 24, 24), 3.0)))
    assert (read_batch(blank, ALL, blank.grid).image_ft == 0).all()


def test_the_images_are_projections_times_transfer(particles, model, poses):
    batch = read_batch(particles, ALL, particles.grid)
    projection = project_gaussians_reference(model, poses, particles.grid)
    frc = ring_correlation(
        batch.image_ft, (projection * batch.transfer).to(torch.complex64), particles.grid
    )
    assert frc[:, 1:12].min() > 0.999
    torch.testing.assert_close(batch.transfer, evaluate_ctf(particles.ctf, particles.grid))


def test_flipped_phases_leave_the_absolute_transfer(particles):
    flipped = replace(particles, has_flipped_phases=True)
    transfer = read_batch(particles, ALL, particles.grid).transfer
    assert (transfer < 0).any()
    torch.testing.assert_close(read_batch(flipped, ALL, flipped.grid).transfer, transfer.abs())


def test_a_coarser_grid_keeps_the_low_rings(particles):
    coarse = FourierGrid(16, 24 * 2.5 / 16)
    full = read_batch(particles, ALL, particles.grid)
    cut = read_batch(particles, ALL, coarse)
    assert cut.image_ft.shape == (5, 16, 9)
    torch.testing.assert_close(cut.image_ft[:, :8, :8], full.image_ft[:, :8, :8] * (16 / 24) ** 2)
    torch.testing.assert_close(cut.transfer[:, :8, :8], full.transfer[:, :8, :8])


def test_batches_come_in_the_order_asked_for(particles):
    order = torch.tensor([4, 0, 3])
    batches = list(iterate_batches(particles, particles.grid, order, 2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert torch.equal(torch.cat([batch.index for batch in batches]), order)
    single = read_batch(particles, torch.tensor([3]), particles.grid)
    torch.testing.assert_close(batches[1].image_ft, single.image_ft)
    assert torch.equal(batches[0].poses.shift, particles.poses.shift[order[:2]])


def test_one_of_each_per_particle_is_needed(particles):
    with pytest.raises(ValueError, match=r"one of each per particle is needed, got .*'poses': 4"):
        replace(particles, poses=particles.poses[:4])


def test_a_stack_in_memory_is_an_image_stack(particles):
    assert isinstance(particles.images, ImageStack)
    assert len(particles) == 5


def test_the_working_grid_reaches_a_quarter_beyond_the_resolution(particles):
    """60 Å long: 15 Å is ring 4, a quarter beyond is ring 5, but never fewer than 16 pixels."""
    assert working_grid(particles, 15.0).box_size == 16
    assert working_grid(particles, 15.0).box_length == pytest.approx(60)
    assert working_grid(particles, 7.0).box_size == 22
    assert working_grid(particles, 2.0).box_size == 24
    for resolution in (5.5, 6.3, 8.0):
        grid = working_grid(particles, resolution)
        finest = 2 * grid.pixel_size
        assert grid.box_size % 2 == 0
        assert finest <= resolution / 1.25 or grid.box_size == 24


def test_particles_are_left_alone(particles, unchanged):
    with unchanged(particles, particles.images):
        read_batch(particles, ALL, FourierGrid(16, 3.75))


def test_half_sets_stay_where_there_are_two(particles):
    assert in_two_halves(particles, ALL) is particles


def test_one_half_set_is_halved_by_turns(particles):
    """Also if only every other particle is asked for."""
    one = replace(particles, half_set=torch.ones(5, dtype=torch.int8))
    assert in_two_halves(one, ALL).half_set.tolist() == [1, 2, 1, 2, 1]
    assert in_two_halves(one, torch.tensor([0, 2, 4])).half_set[[0, 2, 4]].tolist() == [1, 2, 1]
    assert one.half_set.tolist() == [1] * 5
