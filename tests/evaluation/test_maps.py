import numpy as np
import pytest
import torch

from cryomix.evaluation.maps import (
    fsc_auc,
    largest_auc,
    neighboring_states,
    render_band_limited,
    render_states,
    state_distances,
    union_mask,
)
from cryomix.evaluation.truth import read_states
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.volume import Volume, crop_volume


def _volume(seed: int) -> Volume:
    generator = torch.Generator().manual_seed(seed)
    return Volume(torch.randn(32, 32, 32, generator=generator), 3.0)


def test_fsc_auc_of_equal_maps_ends_one_shell_before_nyquist():
    volume = _volume(0)
    assert fsc_auc(volume, volume) == pytest.approx(15 / 32)
    assert fsc_auc(volume, Volume(2.5 * volume.density, 3.0)) == pytest.approx(15 / 32)


def test_fsc_auc_of_noise_is_little_more_than_its_first_point():
    assert fsc_auc(_volume(0), _volume(1)) == pytest.approx(0.5 / 32, abs=0.02)


def test_fsc_auc_of_a_band_is_its_width():
    """Equal below radius 8, unrelated beyond: shells 1 to 8 are 1."""
    first, second = _volume(0).density, _volume(1).density
    axis = torch.fft.fftfreq(32) * 32
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    mixed = torch.where(radius < 8, torch.fft.fftn(first), torch.fft.fftn(second))
    joined = Volume(torch.fft.ifftn(mixed).real, 3.0)
    assert fsc_auc(_volume(0), joined) == pytest.approx(8.5 / 32, abs=0.01)


def test_fsc_auc_needs_equal_boxes():
    with pytest.raises(ValueError, match="boxes of 32 and 16"):
        fsc_auc(_volume(0), Volume(torch.zeros(16, 16, 16), 3.0))


def test_the_largest_area_is_that_of_a_map_with_itself():
    assert largest_auc(128) == 0.4921875
    assert largest_auc(32) == pytest.approx(fsc_auc(_volume(0), _volume(0)))


def test_a_mask_leaves_out_what_is_outside_and_a_level():
    first, mask = _volume(0), torch.zeros(32, 32, 32)
    mask[8:24, 8:24, 8:24] = 1
    other = torch.where(mask > 0, first.density, _volume(1).density) + 7
    inside = fsc_auc(first, Volume(other, 3.0), Volume(mask, 3.0))
    # The surroundings' mean, which is taken off, is that of other noise.
    assert inside == pytest.approx(15 / 32, abs=0.005)
    assert fsc_auc(first, Volume(other, 3.0)) < 0.3


def test_a_band_limited_density_is_a_fine_one_cropped(model):
    """Narrow Gaussians alias when sampled at 5 Å, but not at 1.25 Å."""
    single = GaussianModel(model.center.float(), model.amplitude.float(), model.width.float())
    fine = crop_volume(render_volume(single, 64, 1.25), 16)
    coarse = render_band_limited(single, 16, 5.0)
    # The last frequency, of which only the cosine is kept, differs.
    assert (coarse.density - fine.density).abs().max() < 0.02 * fine.density.max()
    aliased = render_volume(single, 16, 5.0)
    assert (aliased.density - fine.density).abs().max() > 0.1 * fine.density.max()


def test_states_are_rendered_whole(states_on_a_line):
    states = read_states(states_on_a_line)
    for volume, number in zip(render_states(states), range(len(states)), strict=True):
        alone = render_band_limited(states.model[number], states.box_size, states.pixel_size)
        torch.testing.assert_close(volume.density, alone.density, rtol=1e-4, atol=1e-5)


def test_the_mask_holds_every_state(states_on_a_line):
    """A domain that is in each place only once must not be cut off."""
    states = read_states(states_on_a_line)
    volumes = render_states(states)
    mask = union_mask(volumes).density
    for volume in volumes:
        bright = volume.density > 0.1 * volume.density.max()
        assert (mask[bright] > 0.9).all()
    assert mask.mean() < 0.6


def test_neighboring_states_lie_on_both_sides(states_on_a_line):
    distance = state_distances(render_states(read_states(states_on_a_line)))
    near, weight = neighboring_states(distance, 3, 3)
    assert sorted(near.tolist()) == [2, 3, 4]
    assert weight[near == 3] == 1
    assert ((weight > 0) & (weight <= 1)).all()
    alone, full = neighboring_states(distance, 3, 1)
    assert (alone.tolist(), full.tolist()) == ([3], [1.0])
    everyone, _ = neighboring_states(distance, 3, 6)
    assert sorted(everyone.tolist()) == list(range(6))
    assert np.allclose(distance, distance.T)
