"""Simulated particle sets are what they say."""

import math

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel, render_volume, select_inside
from cryomix.imaging.projection_reference import project_gaussians_reference
from cryomix.simulation import make_molecule, simulate_particles

SYSTEMS = ("linear", "cyclic", "mixture")


@pytest.fixture(scope="module")
def linear():
    return simulate_particles("linear", 240, 32, 6.0, 0.5, seed=3, pose_error_deg=2.0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_moving_domain_moves_alone(system):
    molecule = make_molecule(system, FourierGrid(64, 4.0), torch.Generator().manual_seed(1))
    step = molecule.states.center[1:] - molecule.states.center[:-1]
    still = torch.ones(step.shape[1], dtype=torch.bool)
    still[molecule.moving] = False
    assert step[:, still].abs().max() == 0
    assert step[:, molecule.moving].norm(dim=-1)[0].min() > 1.0
    assert molecule.states.center.abs().max() < 0.5 * 64 * 4.0 - 3 * 4.0


def test_a_linear_motion_keeps_its_direction():
    molecule = make_molecule("linear", FourierGrid(64, 4.0), torch.Generator().manual_seed(1))
    domain = molecule.states.center[:, molecule.moving].mean(1)
    length = (domain[-1] - domain[0]).norm().item()
    assert length == pytest.approx((domain[1:] - domain[:-1]).norm(dim=-1).sum().item(), rel=1e-5)
    assert length == pytest.approx(15 * 4.0, rel=1e-5)


def test_a_cyclic_motion_closes():
    molecule = make_molecule("cyclic", FourierGrid(64, 4.0), torch.Generator().manual_seed(1))
    domain = molecule.states.center[:, molecule.moving].mean(1)
    steps = (domain.roll(-1, 0) - domain).norm(dim=-1)
    assert molecule.cyclic
    torch.testing.assert_close(steps, torch.full_like(steps, 2 * 28 * math.sin(math.pi / 36)))


def test_the_ligand_is_there_in_half_of_the_states():
    molecule = make_molecule("mixture", FourierGrid(64, 4.0), torch.Generator().manual_seed(1))
    mass = molecule.states.amplitude.sum(-1)
    assert mass[molecule.has_ligand == 0].unique().tolist() == [510.0]
    assert mass[molecule.has_ligand == 1].unique().tolist() == [570.0]


def test_images_show_their_state_at_their_true_pose(linear):
    """Against the reference projection, at 20 images: noise of variance 2 per unit of signal."""
    index = torch.arange(20)
    grid = linear.particles.grid
    projection = project_gaussians_reference(
        linear.molecule.states[linear.state[index]], linear.poses[index], grid
    )
    transfer = evaluate_ctf(linear.particles.ctf[index], grid)
    signal = to_real(projection * transfer)
    image = linear.particles.images.read(index)
    signal = signal - signal.mean()
    fitted = (image * signal).sum() / signal.square().sum()
    noise = image - fitted * signal
    assert (fitted * signal).var() / noise.var() == pytest.approx(0.5, rel=0.15)
    assert noise.std() == pytest.approx(math.sqrt(1 / 1.5), rel=0.05)


def test_images_have_mean_zero_and_variance_one(linear):
    assert linear.particles.images.image.mean().item() == pytest.approx(0, abs=0.01)
    assert linear.particles.images.image.std().item() == pytest.approx(1, rel=0.01)


def test_each_state_is_shown_equally_often(linear):
    assert linear.state.bincount().tolist() == [12] * 20


def test_the_pose_error_is_of_the_size_asked_for(linear):
    relative = linear.particles.poses.rotation @ linear.poses.rotation.mT
    cosine = (relative.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2
    angle_deg = torch.rad2deg(torch.acos(cosine.double().clamp(-1, 1)))
    # Three independent axes: the root mean square angle is √3 of the deviation of each.
    assert angle_deg.square().mean().sqrt().item() == pytest.approx(2 * math.sqrt(3), rel=0.1)
    torch.testing.assert_close(linear.particles.poses.shift, linear.poses.shift)


def test_the_consensus_is_the_mean_of_the_states(linear):
    states = linear.molecule.states
    density = sum(render_volume(states[state], 32, 6.0).density for state in range(20)) / 20
    torch.testing.assert_close(linear.consensus.density, density, atol=1e-4, rtol=1e-4)
    assert shell_correlation(linear.consensus, linear.consensus)[1:8].min() > 0.999


def test_the_mask_holds_the_moving_domain(linear):
    states, moving = linear.molecule.states, linear.molecule.moving
    for state in (0, 10, 19):
        inside = select_inside(states[state], linear.mask)
        assert inside[moving].float().mean() > 0.95
    core = GaussianModel(states.center[0, :400], states.amplitude[0, :400], states.width[0, :400])
    assert select_inside(core, linear.mask).float().mean() < 0.2


def test_a_seed_repeats_and_another_does_not():
    first, again, other = (
        simulate_particles("linear", 20, 16, 8.0, 0.1, seed=seed).particles.images.image
        for seed in (1, 1, 2)
    )
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert (first - other).abs().max() > 0.1


def test_shifts_are_in_the_images():
    """Without noise, moving the images back by their shifts centres their mass."""
    simulation = simulate_particles("linear", 20, 32, 6.0, 1e6, seed=1)
    moved = simulation.poses
    centred = Poses(moved.rotation, torch.zeros_like(moved.shift))
    states = simulation.molecule.states[simulation.state]
    grid = simulation.particles.grid
    transfer = evaluate_ctf(simulation.particles.ctf, grid)
    image = simulation.particles.images.image
    score = []
    for poses in (moved, centred):
        expected = to_real(project_gaussians_reference(states, poses, grid) * transfer)
        score.append(torch.corrcoef(torch.stack([image.flatten(), expected.flatten()]))[0, 1])
    assert score[0] > 0.999
    assert score[1] < 0.99
