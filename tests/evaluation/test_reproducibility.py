"""What two models say of the same particles, made so that it is known what they share."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryomix.evaluation.conditions import Conditions, without
from cryomix.evaluation.reproducibility import (
    Reading,
    compare_coordinates,
    compare_memberships,
    expected_coordinates,
    matching_direction,
    measure_gain,
)
from cryomix.geometry.poses import random_poses
from cryomix.imaging.particles import Particles

COUNT = 1200
ODD = np.arange(0, COUNT, 2)
EVEN = np.arange(1, COUNT, 2)


def reading(generator, seen, unseen, error=1.0):
    """Two measurements of `seen`, with errors of their own."""
    first, second = (seen + error * generator.normal(size=seen.shape) for _ in range(2))
    return Reading(first, second, unseen)


def test_what_both_models_see_is_reproducible_and_what_one_sees_is_not():
    generator = np.random.default_rng(0)
    shared, odd_only, even_only = generator.normal(size=(3, COUNT))
    odd = reading(generator, np.stack([shared, odd_only, 0 * shared], axis=1), EVEN)
    even = reading(generator, np.stack([even_only, -shared], axis=1), ODD)
    found = compare_coordinates(odd, even, seed=0)
    assert [each.is_reproducible for each in found] == [True, False, False]
    assert found[0].within == pytest.approx(0.5, abs=0.1)
    assert found[0].between == pytest.approx(0.5, abs=0.1)
    assert found[1].within > found[1].within_chance  # it is there, for one of them
    assert found[0].share > 0.8 > 0.3 > found[1].share


def test_noise_alone_is_never_reproducible():
    for seed in range(5):
        generator = np.random.default_rng(seed)
        odd = reading(generator, np.zeros((COUNT, 4)), EVEN)
        even = reading(generator, np.zeros((COUNT, 4)), ODD)
        found = compare_coordinates(odd, even, seed) + compare_coordinates(even, odd, seed)
        assert not any(each.is_reproducible for each in found)


def test_images_learned_by_heart_do_not_count():
    """A model that knows its own particles' noise agrees with itself on these alone."""
    generator = np.random.default_rng(1)
    own = np.zeros((COUNT, 1))
    own[ODD, 0] = generator.normal(size=len(ODD))
    odd = reading(generator, own, EVEN, error=0.5)
    found = compare_coordinates(odd, reading(generator, own, ODD, error=0.5), seed=0)[0]
    assert found.between > found.between_chance
    assert not found.is_reproducible


@pytest.fixture(scope="module")
def conditions(module_ctf):
    generator = torch.Generator().manual_seed(5)
    defocus = 8000 + 12000 * torch.rand(COUNT, generator=generator)
    ctf = replace(module_ctf(COUNT), defocus_u=defocus + 200, defocus_v=defocus - 200)
    images = torch.zeros(COUNT, 2, 2)
    particles = Particles(
        _Stack(images), random_poses(COUNT, generator), ctf, 2.0, 2,
        torch.ones(COUNT, dtype=torch.int8), torch.arange(COUNT),
    )  # fmt: skip
    return particles, Conditions.of(particles, torch.arange(COUNT))


def test_defocus_and_view_alone_are_not_reproducible(conditions):
    particles, known = conditions
    defocus = particles.ctf.defocus_u.double().numpy()
    view = particles.poses.rotation[:, 2].double().numpy()
    leaked = np.sin(defocus / 2000) + view[:, 0] * view[:, 1]
    generator = np.random.default_rng(2)
    odd = reading(generator, leaked[:, None], EVEN, error=0.5)
    even = reading(generator, leaked[:, None], ODD, error=0.5)
    assert compare_coordinates(odd, even, seed=0)[0].is_reproducible
    freed = [
        Reading(without(side.first, known.terms), without(side.second, known.terms), side.unseen)
        for side in (odd, even)
    ]
    assert not compare_coordinates(*freed, seed=0)[0].is_reproducible


def likelihoods(generator, state, separation):
    """Of two states, of images that are one number; the neutral state lies between them."""
    image = np.where(state, separation, -separation) / 2 + generator.normal(size=len(state))
    return at(image, -separation / 2, separation / 2), at(image, 0)


def at(image, *places):
    return np.stack([-0.5 * (image - place) ** 2 for place in places], axis=1)


HALVES = np.array([0.5, 0.5])


def test_a_gain_is_that_of_knowing_that_there_are_two_states(conditions):
    _, known = conditions
    generator = np.random.default_rng(3)
    state = generator.random(COUNT) < 0.5
    whole, single = likelihoods(generator, state, 4.0)
    gain = measure_gain(whole, single, HALVES, known.alike(np.arange(COUNT)))
    assert gain.is_sure
    # Against the neutral state: half the square distance, less ln 2 for not knowing which.
    assert gain.mean == pytest.approx(2.0 - np.log(2), abs=0.2)


def test_states_that_no_particle_is_in_gain_nothing(conditions):
    _, known = conditions
    generator = np.random.default_rng(4)
    image = generator.normal(size=COUNT)
    alike = known.alike(np.arange(COUNT))
    gain = measure_gain(at(image, -0.5, 0.5), at(image, 0), HALVES, alike)
    assert gain.mean < 0
    # Nor does a neutral model that is wrong for everybody, with states about the right one.
    image = image + 1.5
    gain = measure_gain(at(image, 1, 2), at(image, 0, 1.5), HALVES, alike)
    assert gain.over_neutral > 0.5
    assert gain.mean < 0


def test_states_that_are_ctf_gain_nothing(conditions):
    particles, known = conditions
    defocus = particles.ctf.defocus_u.double().numpy()
    whole, single = likelihoods(np.random.default_rng(5), defocus > np.median(defocus), 4.0)
    gain = measure_gain(whole, single, HALVES, known.alike(np.arange(COUNT)))
    assert gain.over_neutral > 1.0
    assert not gain.is_sure


def test_a_direction_is_found_through_the_errors():
    generator = np.random.default_rng(6)
    truth = generator.normal(size=(20_000, 2))
    turn = np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]])
    odd = reading(generator, truth, EVEN)
    even = reading(generator, truth @ turn, ODD)
    assert matching_direction(odd, even, 0) == pytest.approx(turn[0], abs=0.05)


def test_classes_are_compared_with_their_match_alone():
    generator = np.random.default_rng(7)
    label = generator.integers(0, 3, COUNT)
    inside = np.eye(3)[label]
    odd = reading(generator, inside, EVEN, error=0.5)
    even = reading(generator, inside[:, [2, 0, 1]], ODD, error=0.5)
    right = compare_memberships(odd, even, [(0, 1), (1, 2), (2, 0)], seed=0)
    assert all(each.is_reproducible for each in right)
    wrong = compare_memberships(odd, even, [(0, 0), (1, 1), (2, 2)], seed=0)
    assert not any(each.is_reproducible for each in wrong)


def test_coordinates_are_means_over_the_posterior():
    place = np.array([[0.0], [10.0]])
    even_odds = expected_coordinates(np.zeros((1, 2)), HALVES, place)
    assert even_odds == pytest.approx(np.array([[5.0]]))
    likelihood = np.array([[0.0, np.log(3.0)]])
    assert expected_coordinates(likelihood, HALVES, place)[0, 0] == pytest.approx(7.5)


class _Stack:
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def read(self, index):
        return self.images[index]


@pytest.fixture(scope="module")
def module_ctf():
    from cryomix.imaging.ctf import Ctf

    def make(count):
        one = torch.ones(count)
        return Ctf(one, one, 30 * one, 300 * one, 2.7 * one, 0.1 * one, 0 * one)

    return make
