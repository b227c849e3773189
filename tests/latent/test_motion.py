import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.motion import (
    center_jacobian,
    decode_motion,
    localized_directions,
)


def _molecule() -> GaussianModel:
    """A core of 60 Gaussians about the origin and an arm of 20 around x = 40 Å."""
    generator = torch.Generator().manual_seed(0)
    center = torch.randn(80, 3, generator=generator) * 6
    center[60:] = torch.randn(20, 3, generator=generator) * 3 + torch.tensor([40.0, 0, 0])
    return GaussianModel(center, torch.ones(80), torch.full((80,), 3.0))


def _decode(latent: torch.Tensor) -> GaussianModel:
    """First latent: the arm goes 2 Å along y per unit; second: everything goes 1 Å along z."""
    model = _molecule()
    center = model.center.repeat(len(latent), 1, 1)
    center[:, 60:, 1] += 2 * latent[:, :1]
    center[:, :, 2] += latent[:, 1:2]
    amplitude = model.amplitude.repeat(len(latent), 1)
    return GaussianModel(center, amplitude, model.width.repeat(len(latent), 1))


def test_displacement_is_end_minus_start_and_lost_density_is_minus_one():
    start = _molecule()
    amplitude = start.amplitude.clone()
    amplitude[3], amplitude[4] = 0.0, 2.0
    end = GaussianModel(start.center + torch.tensor([1.0, 0, -2]), amplitude, start.width)
    motion = decode_motion(start, end)
    torch.testing.assert_close(
        motion.displacement, torch.tensor([1.0, 0, -2]).expand(80, 3), atol=1e-5, rtol=0
    )
    assert motion.mass_change[3:6].tolist() == [-1.0, 1.0, 0.0]


def test_the_jacobian_is_the_derivative_of_the_centers():
    jacobian = center_jacobian(_decode, torch.tensor([0.3, -0.2]))
    expected = torch.zeros(80, 3, 2)
    expected[60:, 1, 0] = 2
    expected[:, 2, 1] = 1
    torch.testing.assert_close(jacobian, expected, atol=1e-3, rtol=0)


def test_the_first_localized_direction_moves_only_the_domain():
    """The latents are mixed by a rotation, which the directions must undo."""
    angle = torch.tensor(0.7)
    turn = torch.stack(
        [torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])]
    )
    jacobian = center_jacobian(lambda latent: _decode(latent @ turn), torch.zeros(2))
    inside = torch.arange(80) >= 60
    found = localized_directions(jacobian, inside, torch.ones(80))
    moved = found.direction @ turn  # in the latents of `_decode`
    assert abs(float(moved[0, 1])) < 0.02
    assert float(found.inside[0]) == pytest.approx(2, rel=0.01)
    assert float(found.outside[0]) < 0.02
    torch.testing.assert_close(found.direction.norm(dim=1), torch.ones(2))


def test_the_strongest_direction_comes_first():
    found = localized_directions(
        center_jacobian(_decode, torch.zeros(2)), torch.arange(80) >= 60, torch.ones(80)
    )
    ratio = found.inside / found.outside.clamp_min(1e-6)
    assert float(ratio[0]) > float(ratio[1])


@pytest.mark.parametrize("threshold", [-1, 80])
def test_a_domain_must_be_a_part(threshold):
    jacobian = center_jacobian(_decode, torch.zeros(2))
    with pytest.raises(ValueError, match="of 80 Gaussians are in the domain"):
        localized_directions(jacobian, torch.arange(80) > threshold, torch.ones(80))
