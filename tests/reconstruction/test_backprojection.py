"""Maps rebuilt from exact projections equal the density that was projected."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, crop_fourier, to_fourier
from cryomix.geometry.poses import Poses, random_poses
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.particles import ParticleBatch, read_batch
from cryomix.imaging.projection_reference import project_gaussians_reference
from cryomix.reconstruction import backprojection
from cryomix.reconstruction.backprojection import (
    FourierAccumulator,
    reconstruct,
    reconstruct_groups,
    to_central_slices,
)
from cryomix.reconstruction.resolution import average

VIEWS = 800


@pytest.fixture
def fine_model(model):
    """The shared model, sharp enough to have signal up to Nyquist at 3 Å per pixel."""
    return GaussianModel(model.center.float(), model.amplitude.float(), 2.6 * torch.ones(6))


@pytest.fixture
def many_poses():
    generator = torch.Generator().manual_seed(1)
    rotation = random_poses(VIEWS, generator).rotation
    return Poses(rotation, 16 * torch.rand(VIEWS, 2, generator=generator) - 8)


def exact_batch(model, poses, grid, ctf):
    transfer = evaluate_ctf(ctf, grid)
    projection = project_gaussians_reference(model, poses, grid).to(torch.complex64)
    return ParticleBatch(projection * transfer, transfer, poses, torch.arange(len(poses)))


def rebuild(batch, grid, padding=2.0):
    accumulator = FourierAccumulator(grid, padding)
    accumulator.insert(to_central_slices(batch, grid))
    return accumulator.to_volume()


@pytest.mark.parametrize("box_size", [32, 33])
@pytest.mark.parametrize("padding", [1.5, 2.0])
def test_exact_projections_give_the_density_back(
    fine_model, many_poses, make_ctf, box_size, padding
):
    grid = FourierGrid(box_size, 3.0)
    volume = rebuild(exact_batch(fine_model, many_poses, grid, make_ctf(VIEWS)), grid, padding)
    truth = render_volume(fine_model, box_size, 3.0)
    fsc = shell_correlation(volume, truth)
    assert volume.voxel_size == 3.0
    assert fsc[1:6].min() > 0.99
    assert fsc[1 : int(0.8 * grid.n_rings)].min() > 0.98
    scale = (volume.density * truth.density).sum() / truth.density.square().sum()
    assert scale == pytest.approx(1, abs=0.03)
    assert volume.density.max() == pytest.approx(float(truth.density.max()), rel=0.06)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda poses: Poses(poses.rotation.mT, poses.shift),
        lambda poses: Poses(poses.rotation, -poses.shift),
        lambda poses: Poses(poses.rotation, poses.shift.flip(-1)),
        lambda poses: Poses(poses.rotation * torch.tensor([1.0, 1.0, -1.0]), poses.shift),
    ],
    ids=["transposed rotation", "negated shift", "x and y of shift swapped", "mirrored"],
)
def test_the_wrong_convention_scores_clearly_lower(fine_model, many_poses, make_ctf, wrong):
    grid = FourierGrid(32, 3.0)
    batch = exact_batch(fine_model, many_poses, grid, make_ctf(VIEWS))
    volume = rebuild(replace(batch, poses=wrong(many_poses)), grid)
    fsc = shell_correlation(volume, render_volume(fine_model, 32, 3.0))
    assert fsc[6:14].mean() < 0.6


def test_one_off_center_gaussian_lands_on_its_voxel(many_poses, make_ctf):
    """(x, y, z) = (9, -6, 3) Å at 3 Å per voxel is voxel (17, 14, 19) of 32³ in z, y, x."""
    model = GaussianModel(torch.tensor([[9.0, -6.0, 3.0]]), torch.ones(1), torch.tensor([3.0]))
    grid = FourierGrid(32, 3.0)
    volume = rebuild(exact_batch(model, many_poses, grid, make_ctf(VIEWS)), grid)
    position = torch.unravel_index(volume.density.argmax(), volume.density.shape)
    assert tuple(int(axis) for axis in position) == (17, 14, 19)


def test_particles_read_from_a_stack_give_the_same_map(fine_model, many_poses, make_particles):
    grid = FourierGrid(32, 3.0)
    particles = make_particles(fine_model, many_poses, grid, noise=2.0)
    map_units = 1 / particles.images.images.std(dim=(-2, -1)).mean()
    halves = reconstruct(particles, torch.arange(VIEWS))
    truth = render_volume(fine_model, 32, 3.0)
    volume = average(halves)
    assert shell_correlation(volume, truth)[1:8].min() > 0.9
    scale = (volume.density * truth.density).sum() / truth.density.square().sum()
    assert scale == pytest.approx(float(map_units), rel=0.1)


def test_phase_flipped_particles_give_the_same_map(fine_model, many_poses, make_particles):
    grid = FourierGrid(24, 3.0)
    particles = make_particles(fine_model, many_poses, grid)
    ctf = evaluate_ctf(particles.ctf, grid)
    flipped_images = torch.fft.fftshift(
        torch.fft.irfft2(to_fourier(particles.images.images) * ctf.sign(), s=(24, 24)),
        dim=(-2, -1),
    )
    flipped = replace(
        particles, images=type(particles.images)(flipped_images), has_flipped_phases=True
    )
    everything = torch.arange(VIEWS)
    plain, same = (average(reconstruct(each, everything)) for each in (particles, flipped))
    assert shell_correlation(plain, same)[1:11].min() > 0.995


def test_a_coarser_grid_gives_the_cropped_map(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses, FourierGrid(32, 3.0))
    coarse = average(
        reconstruct(particles, torch.arange(VIEWS), grid=FourierGrid(16, 6.0), padding=2.0)
    )
    truth = render_volume(
        GaussianModel(fine_model.center, fine_model.amplitude, fine_model.width), 16, 6.0
    )
    assert coarse.voxel_size == 6.0
    assert shell_correlation(coarse, truth)[1:6].min() > 0.97


def test_groups_in_one_pass_equal_separate_runs(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses[:300], FourierGrid(16, 6.0), noise=5.0)
    groups = [torch.arange(0, 200), torch.arange(100, 300), torch.tensor([7, 3, 250])]
    together = reconstruct_groups(particles, groups)
    for group, halves in zip(groups, together, strict=True):
        alone = reconstruct(particles, group)
        torch.testing.assert_close(halves.first.density, alone.first.density)
        torch.testing.assert_close(halves.second.density, alone.second.density)


def test_several_passes_give_the_same_maps(fine_model, many_poses, make_particles, monkeypatch):
    particles = make_particles(fine_model, many_poses[:60], FourierGrid(16, 6.0))
    groups = [torch.arange(0, 40), torch.arange(20, 60)]
    together = reconstruct_groups(particles, groups)
    monkeypatch.setattr(backprojection, "MEMORY", 0)
    progress = []
    apart = reconstruct_groups(particles, groups, report=lambda *step: progress.append(step))
    assert progress == [(40, 80), (80, 80)]
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one.first.density, other.first.density)


def test_each_image_is_read_once(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses[:50], FourierGrid(16, 6.0))
    seen = []

    class Recorder(type(particles.images)):
        def read(self, index):
            seen.extend(index.tolist())
            return self.images[index]

    particles = replace(particles, images=Recorder(particles.images.images))
    reconstruct_groups(particles, [torch.tensor([40, 3, 9]), torch.tensor([9, 3, 12])])
    assert seen == [3, 9, 12, 40]


def test_weight_zero_drops_a_particle_and_twice_is_weight_two(
    fine_model, many_poses, make_particles
):
    particles = make_particles(fine_model, many_poses[:40], FourierGrid(16, 6.0), noise=1.0)
    kept = torch.arange(10, 40)
    weight = torch.ones(40)
    weight[:10] = 0
    dropped = reconstruct(particles, torch.arange(40), weight=weight)
    without = reconstruct(particles, kept)
    assert torch.equal(dropped.first.density, without.first.density)
    weight = torch.ones(30)
    weight[:5] = 2
    doubled = reconstruct(particles, kept, weight=weight)
    repeated = reconstruct(particles, torch.cat([kept, kept[:5]]))
    torch.testing.assert_close(doubled.second.density, repeated.second.density)
    assert not torch.allclose(doubled.second.density, without.second.density, rtol=1e-3)


def test_half_maps_come_from_disjoint_particles(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses[:60], FourierGrid(16, 6.0), noise=1.0)
    images = particles.images.images.clone()
    images[particles.half_set == 2] = torch.randn(30, 16, 16)
    changed = replace(particles, images=type(particles.images)(images))
    # A fixed signal-to-noise is the only thing that the halves share.
    first = [particles.half_set == 1, particles.half_set == 2]
    maps = []
    for each in (particles, changed):
        slices = to_central_slices(read_batch(each, torch.arange(60), each.grid), each.grid)
        for half in first:
            accumulator = FourierAccumulator(each.grid)
            accumulator.insert(slices, half.float())
            maps.append(accumulator.to_volume().density)
    assert torch.equal(maps[0], maps[2])
    assert not torch.allclose(maps[1], maps[3])
    halves = reconstruct(particles, torch.arange(60))
    assert not torch.allclose(halves.first.density, halves.second.density)


def test_a_half_without_particles_is_zero_and_finite(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses[:8], FourierGrid(16, 6.0))
    halves = reconstruct(particles, torch.tensor([0, 2, 4]))
    assert halves.first.density.isfinite().all()
    assert halves.first.density.abs().max() > 0
    assert (halves.second.density == 0).all()


def test_noise_alone_does_not_correlate(fine_model, many_poses, make_particles):
    silent = GaussianModel(fine_model.center, 0 * fine_model.amplitude, fine_model.width)
    particles = make_particles(silent, many_poses, FourierGrid(32, 3.0), noise=1.0)
    halves = reconstruct(particles, torch.arange(VIEWS))
    fsc = shell_correlation(halves.first, halves.second)
    assert fsc[4:].abs().mean() < 0.05
    assert halves.first.density.std() > 0
    assert halves.first.density.abs().max() < 20 * halves.first.density.std()


def test_regularization_helps_when_there_are_few_views(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses[:150], FourierGrid(32, 3.0), noise=4.0)
    truth = render_volume(fine_model, 32, 3.0)
    batch = read_batch(particles, torch.arange(150), particles.grid)
    bare = shell_correlation(rebuild(batch, particles.grid), truth)
    solved = shell_correlation(average(reconstruct(particles, torch.arange(150))), truth)
    assert solved[1:14].mean() > bare[1:14].mean() + 0.01


def test_noise_power_weighs_rings_but_leaves_the_density(fine_model, many_poses, make_particles):
    particles = make_particles(fine_model, many_poses, FourierGrid(24, 3.0))
    everything = torch.arange(VIEWS)
    white = average(reconstruct(particles, everything))
    noise = torch.linspace(9, 1, 13)
    colored = average(reconstruct(particles, everything, noise=noise))
    assert shell_correlation(white, colored)[1:11].min() > 0.995
    with pytest.raises(ValueError, match=r"noise power must be positive, got 0\.0"):
        reconstruct(particles, everything, noise=0 * noise)


def test_particles_are_left_alone(particles, unchanged):
    everything = torch.arange(5)
    weight = torch.ones(5)
    with unchanged(particles, particles.images, everything, weight):
        reconstruct(particles, everything, weight=weight)


def test_padding_below_one_is_refused():
    with pytest.raises(ValueError, match=r"padding must be at least 1, got 0\.5"):
        FourierAccumulator(FourierGrid(16, 3.0), 0.5)


def test_cropping_the_images_is_what_a_coarser_grid_does(particles):
    fine = read_batch(particles, torch.arange(5), particles.grid).image_ft
    coarse = read_batch(particles, torch.arange(5), FourierGrid(12, 5.0)).image_ft
    torch.testing.assert_close(crop_fourier(fine, 12), coarse)
