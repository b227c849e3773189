"""Motions between states, at the latents of particles."""

import math

import torch

from cryomix.geometry.rigid_motion import RigidMotion, turn_by
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.bodies import RigidBodies
from cryomix.latent.body_motion import (
    choose_states,
    distance_moved,
    follow_bodies,
    interpolate_motions,
)


def dumbbell(motion: RigidMotion) -> RigidBodies:
    """Two Gaussians about (30, 0, 0), one body."""
    rest = GaussianModel(
        torch.tensor([[25.0, 0, 0], [35.0, 0, 0]]), torch.ones(2), torch.full((2,), 4.0)
    )
    return RigidBodies(rest, 0, torch.zeros(2, dtype=torch.int64), motion, torch.ones(2))


def circle(count: int) -> tuple[torch.Tensor, RigidMotion]:
    """Latents on a circle, and full turns about z with them."""
    angle = 2 * math.pi * torch.arange(count) / count
    rotation = turn_by(torch.stack([0 * angle, 0 * angle, angle], dim=1))
    latent = torch.stack([angle.cos(), angle.sin()], dim=1)
    return latent, RigidMotion(rotation[:, None], torch.zeros(count, 1, 3))


def test_states_and_shares():
    latent = torch.tensor([[0.0], [0.01], [0.02], [5.0]]).repeat(10, 1)
    states = choose_states(latent, 2)
    order = states.latent[:, 0].argsort()
    torch.testing.assert_close(states.latent[order, 0], torch.tensor([0.01, 5.0]))
    torch.testing.assert_close(states.share[order], torch.tensor([0.75, 0.25]))
    assert len(choose_states(torch.zeros(20, 3), 8).share) == 1


def test_a_full_turn_is_followed_between_the_states():
    state, motion = circle(24)
    between, truth = circle(48)
    found = interpolate_motions(dumbbell(motion), state, motion, between)
    torch.testing.assert_close(found.rotation, truth.rotation, atol=0.01, rtol=0)
    torch.testing.assert_close(found.shift, truth.shift, atol=0.3, rtol=0)


def test_axes_in_which_no_latent_differs_do_no_harm():
    state, motion = circle(24)
    flat = torch.cat([state, torch.zeros(24, 2)], dim=1)
    found = interpolate_motions(dumbbell(motion), flat, motion, flat)
    torch.testing.assert_close(found.rotation, motion.rotation, atol=1e-3, rtol=0)
    one = interpolate_motions(dumbbell(motion), flat[:1], motion[:1], torch.zeros(3, 4))
    torch.testing.assert_close(one.rotation, motion.rotation[:1].expand(3, 1, 3, 3))


def test_bodies_are_followed_from_a_rough_start():
    _, motion = circle(24)
    bodies = dumbbell(motion)
    center = motion.of(0).apply(bodies.rest.center)
    models = GaussianModel(center, torch.ones(24, 2), torch.full((24, 2), 4.0))
    rough = RigidMotion(motion.rotation, motion.shift + 2.0)
    found = follow_bodies(bodies, models, rough)
    torch.testing.assert_close(found.of(0).apply(bodies.rest.center), center, atol=0.1, rtol=0)


def test_the_distance_moved_is_that_of_the_mass():
    motion = RigidMotion(torch.eye(3).repeat(2, 1, 1), torch.tensor([[3.0, 4.0, 0], [0, 0, 0]]))
    bodies = dumbbell(RigidMotion(motion.rotation[:, None], motion.shift[:, None]))
    assert abs(distance_moved(bodies, 0, motion) - 5 / math.sqrt(2)) < 1e-5
