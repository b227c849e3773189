import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from cryomix.evaluation.information_limit import (
    estimate_noise,
    score_posterior,
    state_posterior,
)
from cryomix.evaluation.truth import TrueStates, read_states
from cryomix.geometry.fourier import FourierGrid, to_fourier, to_real
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.particles import Particles
from cryomix.imaging.projection_reference import project_gaussians_reference


@pytest.fixture
def observe(states_on_a_line, make_ctf, memory_stack):
    """Images of the states with white noise of a given share of their standard deviation."""
    states = read_states(states_on_a_line)
    grid = FourierGrid(states.box_size, states.pixel_size)

    def make(noise: float) -> tuple[Particles, TrueStates]:
        ctf = make_ctf(120)
        clean = torch.cat(
            [
                project_gaussians_reference(
                    states.model[int(state)], states.poses[row : row + 1], grid
                )
                for row, state in enumerate(states.state)
            ]
        )
        image = to_real(clean.to(torch.complex64) * evaluate_ctf(ctf, grid))
        generator = torch.Generator().manual_seed(0)
        image = image + noise * image.std() * torch.randn(image.shape, generator=generator)
        number = torch.arange(120)
        particles = Particles(
            memory_stack(image), states.poses, ctf, grid.pixel_size, grid.box_size,
            (1 + number % 2).to(torch.int8), number,
        )  # fmt: skip
        return particles, states

    return make


EVERYONE = torch.arange(120)


def test_white_noise_is_found_flat_and_as_strong_as_it_is(observe):
    particles, states = observe(3.0)
    noise = estimate_noise(particles, states, EVERYONE)
    # Images are brought to variance 1, of which 0.9 is noise; transforms scale with n².
    assert noise.power[3:16].mean() == pytest.approx(0.9 * 32**2, rel=0.03)
    assert noise.power[16:].mean() == pytest.approx(0.9 * 32**2, rel=0.03)
    assert noise.gain > 0


def test_without_noise_to_speak_of_every_state_is_known(observe):
    particles, states = observe(0.3)
    noise = estimate_noise(particles, states, EVERYONE)
    posterior = state_posterior(particles, states, EVERYONE, noise)
    assert posterior.sum(dim=1).numpy() == pytest.approx(1, abs=1e-5)
    scores = score_posterior(posterior, states, EVERYONE)
    assert scores["t_knn_R"][0] > 0.98
    assert scores["c_knn_accuracy"][0] > 0.98


def test_the_posterior_is_bayes_rule_in_real_space(observe):
    """Sum of squares over pixels, with the noise known, gives the same odds."""
    particles, states = observe(2.0)
    noise = estimate_noise(particles, states, EVERYONE)
    posterior = state_posterior(particles, states, EVERYONE[:10], noise)
    grid = particles.grid
    image = particles.images.read(EVERYONE[:10])
    image = image - image.mean(dim=(1, 2), keepdim=True)
    image = image / image.std(dim=(1, 2), keepdim=True)
    odds = []
    for state in range(6):
        clean = project_gaussians_reference(states.model[state], states.poses[:10], grid)
        clean = to_real(clean.to(torch.complex64) * evaluate_ctf(particles.ctf[:10], grid))
        clean = noise.gain * (clean - clean.mean(dim=(1, 2), keepdim=True))
        odds.append(-0.5 * (image - clean).square().sum(dim=(1, 2)) / 0.8)
    expected = torch.stack(odds, dim=1).softmax(dim=1)
    assert posterior.numpy() == pytest.approx(expected.numpy(), abs=0.08)
    assert np.ptp(expected.numpy()) > 0.5


def test_where_images_hold_nothing_they_say_nothing(observe, memory_stack):
    """Noise that was filtered off is not noise of power zero, which would be sure of anything."""
    particles, states = observe(3.0)
    noise = estimate_noise(particles, states, EVERYONE)
    whole = state_posterior(particles, states, EVERYONE, noise)
    inside = particles.grid.radius < 0.6 / (2 * particles.pixel_size)
    filtered = to_real(to_fourier(particles.images.read(EVERYONE)) * inside)
    limited = replace(particles, images=memory_stack(filtered))
    noise = estimate_noise(limited, states, EVERYONE)
    ring = particles.grid.ring_of(2 * particles.pixel_size / 0.6)
    assert noise.power[: ring - 1].isfinite().all()
    assert noise.power[ring + 2 :].isinf().all()
    part = state_posterior(limited, states, EVERYONE, noise)
    assert part.isfinite().all()
    assert (part - whole).abs().mean() < 0.05


def test_probabilities_are_true(observe):
    """Of the states that are held to be probable by p, a share of p is true."""
    particles, states = observe(6.0)
    noise = estimate_noise(particles, states, EVERYONE)
    posterior = state_posterior(particles, states, EVERYONE, noise).numpy()
    of_truth = posterior[np.arange(120), states.state]
    # E[p(truth)] is E[Σ p²] where the posterior is right.
    assert of_truth.mean() == pytest.approx((posterior**2).sum(axis=1).mean(), abs=0.08)
    assert 1 / 6 + 0.05 < of_truth.mean() < 0.95


def test_pure_noise_leaves_the_prior_and_scores_nothing(observe):
    particles, states = observe(3000.0)
    noise = estimate_noise(particles, states, EVERYONE)
    quiet = replace(noise, gain=0.0)
    posterior = state_posterior(particles, states, EVERYONE, quiet)
    assert posterior.numpy() == pytest.approx(1 / 6, abs=1e-6)
    assert score_posterior(posterior, states, EVERYONE)["t_knn_R"] == (0.0, 0.0)


def test_on_a_circle_the_mean_direction_counts(states_on_a_line):
    states_on_a_line["cyclic"] = np.array(True)
    states_on_a_line["t"] = states_on_a_line["which"] / 6
    del states_on_a_line["c"]
    states = read_states(states_on_a_line)
    right = torch.nn.functional.one_hot(states.state, 6).float()
    assert score_posterior(right, states, EVERYONE)["t_cos"] == pytest.approx((1, 0))
    beside = 0.5 * (right + right.roll(1, dims=1))
    scores = score_posterior(beside, states, EVERYONE)
    assert scores["t_cos"][0] == pytest.approx(math.cos(math.pi / 6))
    assert set(scores) == {"t_cos", "t_cos_mode"}


def test_arguments_are_left_alone(observe, unchanged):
    particles, states = observe(1.0)
    with unchanged(particles, states):
        state_posterior(
            particles, states, EVERYONE[:5], estimate_noise(particles, states, EVERYONE)
        )
