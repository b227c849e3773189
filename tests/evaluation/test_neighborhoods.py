import numpy as np
import pytest

from cryomix.evaluation.neighborhoods import (
    ctf_space,
    information_imbalance,
    leaks,
    neighborhood_counts,
    neighborhood_curve,
    neighborhood_similarity,
)
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses


def test_neighborhood_similarity_of_equal_and_of_reversed_lines():
    line = np.linspace(0, 1, 200)[:, None] ** 1.01
    assert neighborhood_similarity(line, 1 - 3 * line, 10) == 1
    shuffled = np.random.default_rng(0).permutation(line)
    assert neighborhood_similarity(line, shuffled, 10) == pytest.approx(0.05, abs=0.03)


def test_information_imbalance_is_one_sided():
    """A square tells its first coordinate; one coordinate does not tell the square."""
    square = np.random.default_rng(0).random((1500, 2))
    other = np.random.default_rng(1).random((1500, 2))
    assert information_imbalance(square, square) == pytest.approx(31 / 1500, rel=1e-6)
    assert information_imbalance(square, other) == pytest.approx(1, abs=0.03)
    down, up = (
        information_imbalance(square, square[:, :1]),
        information_imbalance(square[:, :1], square),
    )
    assert down < 0.15
    assert 0.25 < up < 0.75


def test_the_curve_counts_shared_neighbors_as_the_definition_does():
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, 250, 2))
    expected = np.empty((5, 2))
    for offset in range(5):
        a, b = first[offset::5], second[offset::5]
        for column, k in enumerate((10, 20)):
            shared = 0
            for x, y in zip(a, b, strict=True):
                near = [
                    set(np.linalg.norm(space - point, axis=1).argsort()[:k].tolist())
                    for space, point in ((a, x), (b, y))
                ]
                shared += len(near[0] & near[1])
            expected[offset, column] = shared / (k * len(a))
    assert neighborhood_curve(first, second, [10, 20]) == pytest.approx(expected)


def test_counts_go_to_a_fifth_of_every_fifth():
    assert neighborhood_counts(100_000) == list(range(200, 4001, 200))
    assert neighborhood_counts(20_000) == [200, 400, 600, 800]
    assert neighborhood_counts(4_000) == []


def test_ctf_space_does_not_know_a_direction_from_its_opposite(make_ctf):
    ctf = make_ctf(200)
    turned = make_ctf(200)
    turned.defocus_angle_deg.add_(180)
    assert ctf_space(turned) == pytest.approx(ctf_space(ctf), abs=1e-4)
    assert ctf_space(ctf)[:, 0].std() == pytest.approx(1)
    assert np.isfinite(ctf_space(ctf)).all()


def test_a_leak_of_the_ctf_shows_and_only_there(model, make_particles):
    import torch

    poses = random_poses(400, torch.Generator().manual_seed(0))
    poses = type(poses)(poses.rotation.double(), poses.shift.double())
    particles = make_particles(model, poses, FourierGrid(16, 4.0))
    generator = np.random.default_rng(0)
    clean = generator.normal(size=(400, 2))
    leaking = clean.copy()
    leaking[:, 0] = particles.ctf.defocus_u.numpy() / 1e3
    found, leaked = leaks(particles, clean), leaks(particles, leaking)
    for name, value in found.items():
        assert value == pytest.approx(1, abs=0.07), name
    assert leaked["imbalance_ctf_latent"] < 0.8
    assert leaked["imbalance_latent_ctf"] < 0.8
    assert leaked["imbalance_pose_latent"] == pytest.approx(1, abs=0.07)
