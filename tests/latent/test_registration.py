"""Parts are put back where they were taken from."""

import torch

from cryomix.geometry.rigid_motion import RigidMotion, turn_by
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.latent.registration import blur, cover, register_parts, sample_density


def test_the_sampled_density_is_that_of_the_formula(model):
    single = GaussianModel(model.center.float(), model.amplitude.float(), model.width.float())
    grid = cover(single)
    sampled = sample_density(single, grid)
    n = len(grid.axis)
    assert n % 2 == 1
    torch.testing.assert_close(
        sampled, render_volume(single, n, grid.voxel_size).density, atol=1e-5, rtol=1e-4
    )


def test_blur_keeps_the_mass(model):
    wide = blur(model)
    mass = model.amplitude * model.width**3
    torch.testing.assert_close(wide.amplitude * wide.width**3, mass)
    assert (wide.width > model.width).all()


def test_two_parts_find_their_own_motions():
    generator = torch.Generator().manual_seed(0)
    first = 8 * torch.randn(20, 3, generator=generator)
    second = 8 * torch.randn(20, 3, generator=generator) + torch.tensor([35.0, 0, 0])
    rest = GaussianModel(torch.cat([first, second]), torch.ones(40), torch.full((40,), 4.0))
    label = torch.arange(40) // 20
    truth = RigidMotion(
        turn_by(torch.tensor([[0.05, -0.1, 0.2], [-0.1, 0.15, 0.0]])),
        torch.tensor([[3.0, -2.0, 1.0], [-4.0, 0.0, 5.0]]),
    )
    center = torch.cat([truth[0].apply(first), truth[1].apply(second)])
    moved = GaussianModel(center, rest.amplitude, rest.width)
    grid = cover(moved)
    still = RigidMotion(torch.eye(3).repeat(2, 1, 1), torch.zeros(2, 3))
    found = register_parts(sample_density(blur(moved), grid), blur(rest), label, still, grid)
    for part, points in enumerate((first, second)):
        torch.testing.assert_close(
            found[part].apply(points), truth[part].apply(points), atol=0.1, rtol=0
        )
