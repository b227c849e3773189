"""Half-map FSC, the resolution read from it, and filtering."""

import math

import pytest
import torch

from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.gaussians import render_volume
from cryomix.imaging.volume import Volume
from cryomix.reconstruction.resolution import (
    HalfMaps,
    average,
    filter_by_fsc,
    half_map_correlation,
    resolution_at,
    resolution_of_curve,
    surround,
)


def noisy_halves(model, noise, box_size=32):
    truth = render_volume(model, box_size, 2.5).density.float()
    generator = torch.Generator().manual_seed(5)
    noisy = [truth + noise * torch.randn(truth.shape, generator=generator) for _ in range(2)]
    return HalfMaps(*(Volume(density, 2.5, (1.0, 2.0, 3.0)) for density in noisy))


def soft_sphere(box_size, radius):
    axis = torch.arange(box_size) - box_size // 2.0
    distance = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    return Volume(0.5 + 0.5 * torch.cos(math.pi * ((distance - radius) / 3).clamp(0, 1)), 2.5)


def test_average_is_the_mean_and_keeps_the_origin(model):
    halves = noisy_halves(model, 0.1)
    mean = average(halves)
    torch.testing.assert_close(mean.density * 2, halves.first.density + halves.second.density)
    assert mean.origin == (1.0, 2.0, 3.0)
    assert mean.voxel_size == 2.5


def test_resolution_is_linear_between_shells():
    """0.143 lies halfway between 0.243 at shell 4 and 0.043 at shell 5: 80 Å / 4.5."""
    fsc = torch.tensor([1.0, 0.9, 0.8, 0.5, 0.243, 0.043, 0.3, 0.9, 0.0])
    assert resolution_at(fsc, 5.0) == pytest.approx(80 / 4.5)
    assert resolution_at(fsc, 5.0, threshold=0.5) == pytest.approx(80 / 3)


def test_an_odd_box_is_longer_than_its_shells_say():
    fsc = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert resolution_at(fsc, 2.0, threshold=0.5, box_size=7) == pytest.approx(14 / 1.5)
    assert resolution_at(fsc, 2.0, threshold=0.5) == pytest.approx(12 / 1.5)


def test_resolution_without_a_crossing():
    assert resolution_at(torch.ones(17), 3.0) == 6.0
    assert resolution_at(torch.tensor([1.0, 0.1, 0.9]), 3.0) == float("inf")
    assert resolution_at(torch.tensor([0.0, 1.0, 1.0]), 3.0) == 6.0  # images have mean 0


def test_filtering_with_perfect_agreement_changes_nothing_up_to_nyquist(model):
    volume = render_volume(model, 24, 2.5)
    filtered = filter_by_fsc(volume, torch.ones(13))
    torch.testing.assert_close(shell_correlation(filtered, volume)[:12], torch.ones(12))
    difference = torch.fft.rfftn(filtered.density - volume.density)[:7, :7, :7]
    assert difference.abs().max() < 1e-6 * torch.fft.rfftn(volume.density).abs().max()
    assert filtered.voxel_size == 2.5


def test_each_shell_is_weighted_by_its_expected_correlation(model):
    volume = Volume(torch.randn(16, 16, 16, generator=torch.Generator().manual_seed(0)), 2.0)
    fsc = torch.tensor([1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.0, 0.9, 0.9])
    before, after = (torch.fft.fftn(v.density) for v in (volume, filter_by_fsc(volume, fsc)))
    ratio = after.abs() / before.abs()
    assert ratio[0, 0, 2] == pytest.approx(1, abs=1e-4)
    assert ratio[0, 4, 0] == pytest.approx(math.sqrt(2 / 3), abs=1e-4)
    assert ratio[6, 0, 0] == pytest.approx(0, abs=1e-4)
    # Agreement that comes back by chance fades out: two of three shells beyond shell 5, 1/4.
    assert ratio[0, 0, 7] == pytest.approx(math.sqrt(1.8 / 1.9) * 0.25, abs=1e-4)


def test_filtering_brings_a_noisy_map_nearer_to_the_truth(model):
    halves = noisy_halves(model, 0.3)
    truth = render_volume(model, 32, 2.5).density.float()
    noisy = average(halves)
    filtered = filter_by_fsc(noisy, half_map_correlation(halves))
    assert (filtered.density - truth).norm() < 0.5 * (noisy.density - truth).norm()


def test_a_filter_of_another_box_is_refused(model):
    with pytest.raises(ValueError, match="12 shells do not belong to a box of 24"):
        filter_by_fsc(render_volume(model, 24, 2.5), torch.ones(12))


def test_a_mask_around_the_molecule_raises_the_fsc(model):
    halves = noisy_halves(model, 0.3)
    unmasked = half_map_correlation(halves)
    masked = half_map_correlation(halves, soft_sphere(32, 9))
    torch.testing.assert_close(unmasked, shell_correlation(halves.first, halves.second))
    assert masked[3:7].mean() > unmasked[3:7].mean()


def test_the_correlation_that_a_mask_brings_is_taken_out(model):
    """Maps of noise alone agree inside a tight mask; the corrected FSC says that they do not."""
    halves = noisy_halves(model, 3.0)
    mask = soft_sphere(32, 2)
    plain = [Volume(half.density * mask.density, 2.5) for half in (halves.first, halves.second)]
    corrected = half_map_correlation(halves, mask)
    assert corrected[8:].abs().mean() < 0.35
    assert shell_correlation(*plain).shape == corrected.shape
    again = half_map_correlation(halves, mask)
    assert torch.equal(corrected, again)


def test_a_mask_of_another_size_is_refused(model):
    with pytest.raises(ValueError, match="mask of 16 voxels, maps of 32"):
        half_map_correlation(noisy_halves(model, 0.1), soft_sphere(16, 4))


def test_maps_are_left_alone(model, unchanged):
    halves = noisy_halves(model, 0.1)
    mask = soft_sphere(32, 9)
    with unchanged(halves, mask):
        fsc = half_map_correlation(halves, mask)
        filter_by_fsc(average(halves), fsc)


def test_the_mask_of_half_maps_holds_the_molecule_and_little_else(model):
    """Also where noise hides it at the voxels, and at whatever strength."""
    quiet, loud = (surround(noisy_halves(model, noise), 10.0).density for noise in (1e-3, 0.2))
    z, y, x = (model.center / 2.5).round().long().flip(-1).unbind(-1)
    for mask in (quiet, loud):
        assert mask[z + 16, y + 16, x + 16].min() > 0.9
        assert mask.mean() < 0.25


def test_a_curve_by_frequencies_reaches_as_far_as_by_shells():
    generator = torch.Generator().manual_seed(2)
    for box_size in (15, 32):
        fsc = 1 - torch.linspace(0, 1.2, box_size // 2 + 1)
        fsc += 0.02 * torch.randn(len(fsc), generator=generator)
        frequency = torch.arange(len(fsc)) / (box_size * 2.5)
        wanted = resolution_at(fsc, 2.5, box_size=box_size)
        assert resolution_of_curve(frequency, fsc) == pytest.approx(wanted)
        assert resolution_of_curve(frequency, 1 + 0 * fsc) == pytest.approx(1 / frequency[-1])
        assert resolution_of_curve(frequency, 0 * fsc) == float("inf")
