"""Maps of bodies that moved are the maps of the same bodies at rest."""

from dataclasses import replace

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, random_poses
from cryomix.geometry.rigid_motion import RigidMotion, follow_motion, turn_by
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.masking import apply_mask
from cryomix.imaging.volume import Volume
from cryomix.reconstruction.backprojection import reconstruct
from cryomix.reconstruction.body_maps import (
    Verdict,
    blend,
    body_shares,
    judge,
    moving_region,
)
from cryomix.reconstruction.resolution import HalfMaps, average

VIEWS, BOX, PIXEL = 600, 32, 3.0
EVERYONE = torch.arange(VIEWS)


@pytest.fixture(scope="module")
def rest() -> GaussianModel:
    """A core below, and a domain above it."""
    generator = torch.Generator().manual_seed(3)
    core = 6 * torch.randn(12, 3, generator=generator) - torch.tensor([0.0, 14.0, 0.0])
    domain = 4 * torch.randn(8, 3, generator=generator) + torch.tensor([0.0, 18.0, 0.0])
    return GaussianModel(torch.cat([core, domain]), torch.ones(20), torch.full((20,), 2.6))


@pytest.fixture(scope="module")
def label() -> torch.Tensor:
    return (torch.arange(20) >= 12).long()


@pytest.fixture
def moved(rest, label, make_particles):
    """Particles in which the domain turns and slides, their true motions, and still ones."""
    generator = torch.Generator().manual_seed(1)
    poses = Poses(
        random_poses(VIEWS, generator).rotation, 4 * torch.rand(VIEWS, 2, generator=generator)
    )
    turn = turn_by(0.3 * torch.randn(VIEWS, 3, generator=generator))
    motion = RigidMotion(turn, 4 * torch.randn(VIEWS, 3, generator=generator))
    grid = FourierGrid(BOX, PIXEL)
    core, domain = rest.subset(label == 0), rest.subset(label == 1)
    still = make_particles(rest, poses, grid)
    one = make_particles(core, poses, grid).images.images
    other = make_particles(domain, follow_motion(poses, motion), grid).images.images
    return replace(still, images=type(still.images)(one + other)), motion, still


def test_moved_particles_give_the_map_of_still_ones(rest, label, moved):
    particles, motion, still = moved
    consensus = reconstruct(particles, EVERYONE)
    carried = reconstruct(
        replace(particles, poses=follow_motion(particles.poses, motion)), EVERYONE
    )
    improved = blend([consensus, carried], body_shares(rest, label, BOX, PIXEL))
    region = moving_region(rest, label == 1, BOX, PIXEL)
    truth = apply_mask(render_volume(rest, BOX, PIXEL), region)
    fsc = {
        name: shell_correlation(apply_mask(average(halves), region), truth)
        for name, halves in (
            ("consensus", consensus), ("improved", improved),
            ("still", reconstruct(still, EVERYONE)),
        )
    }  # fmt: skip
    shells = slice(5, 12)
    assert fsc["improved"][shells].mean() > 0.93
    assert fsc["consensus"][shells].mean() < 0.75
    assert (fsc["still"] - fsc["improved"])[shells].mean() < 0.05
    assert judge(consensus, improved, region).helped


def test_motions_of_the_wrong_particles_do_not_help(rest, label, moved):
    particles, motion, _ = moved
    consensus = reconstruct(particles, EVERYONE)
    wrong = follow_motion(particles.poses, motion[EVERYONE.flip(0)])
    carried = reconstruct(replace(particles, poses=wrong), EVERYONE)
    mixed = blend([consensus, carried], body_shares(rest, label, BOX, PIXEL))
    assert not judge(consensus, mixed, moving_region(rest, label == 1, BOX, PIXEL)).helped


def test_no_motion_gives_the_map_itself(rest, label, moved):
    particles, motion, _ = moved
    none = RigidMotion(torch.eye(3).expand_as(motion.rotation), torch.zeros_like(motion.shift))
    plain = reconstruct(particles, EVERYONE)
    same = reconstruct(replace(particles, poses=follow_motion(particles.poses, none)), EVERYONE)
    assert torch.equal(plain.first.density, same.first.density)
    mixed = blend([plain, same], body_shares(rest, label, BOX, PIXEL))
    torch.testing.assert_close(mixed.second.density, plain.second.density, atol=1e-5, rtol=1e-5)
    assert not judge(plain, mixed, moving_region(rest, label == 1, BOX, PIXEL)).helped


def test_each_voxel_belongs_to_the_bodies_once(rest, label):
    core, domain = body_shares(rest, label, BOX, PIXEL)
    torch.testing.assert_close(core.density + domain.density, torch.ones(BOX, BOX, BOX))
    below, above = BOX // 2 - 5, BOX // 2 + 6
    assert core.density[BOX // 2, below, BOX // 2] > 0.99
    assert domain.density[BOX // 2, above, BOX // 2] > 0.99
    assert domain.density[0, BOX - 1, 0] > 0.99  # a corner of the box, nearest to the domain


def test_the_region_holds_what_moves_and_little_else(rest, label):
    region = moving_region(rest, label == 1, BOX, PIXEL)
    domain = render_volume(rest.subset(label == 1), BOX, PIXEL).density
    assert (domain * region.density).sum() > 0.9 * domain.sum()
    assert region.density[:, : BOX // 2 - 2].max() < 0.01


def test_a_finer_map_that_agrees_no_better_has_not_helped():
    fsc = torch.linspace(1, 0, 17)
    assert not Verdict(fsc, fsc + 0.001, PIXEL, BOX).helped
    assert Verdict(fsc, (fsc + 0.1).clamp(max=1), PIXEL, BOX).helped
    assert not Verdict(fsc, (fsc - 0.1).clamp(min=0), PIXEL, BOX).helped


def test_half_sets_stay_apart(rest, label):
    ones, zeros = (Volume(torch.full((BOX,) * 3, value), PIXEL) for value in (1.0, 0.0))
    mixed = blend([HalfMaps(ones, zeros)] * 2, body_shares(rest, label, BOX, PIXEL))
    torch.testing.assert_close(mixed.first.density, ones.density)
    assert not mixed.second.density.any()
