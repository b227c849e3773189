"""States against images, from two sets of coefficients that share no noise."""

import pytest
import torch

from cryomix.fitting.heterogeneity import build_model
from cryomix.fitting.state_scores import States, find_states, score_states, split_metric
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.options import TrainingOptions

COUNT = 300


@pytest.fixture(scope="module")
def neutral():
    generator = torch.Generator().manual_seed(0)
    center = 12 * torch.randn(30, 3, generator=generator)
    return GaussianModel(center, torch.full((30,), 0.5), torch.full((30,), 6.0))


@pytest.fixture
def noisy(neutral, make_particles):
    poses = random_poses(COUNT, torch.Generator().manual_seed(1))
    return make_particles(neutral, poses, FourierGrid(24, 4.0), noise=40.0)


@pytest.fixture
def model(noisy, neutral):
    options = TrainingOptions(latent_size=2, hidden=16)
    return build_model(noisy, neutral, 6.0, 16.0, options)


def test_the_two_sets_are_all_coefficients_and_none_is_in_both(model):
    first, second = (metric.weight for metric in split_metric(model.likelihood))
    torch.testing.assert_close(first + second, model.likelihood.weight)
    assert not bool(((first > 0) & (second > 0)).any())
    assert float(first.sum()) == pytest.approx(float(second.sum()), rel=0.2)


def test_a_coefficient_stays_with_its_mirror_image(model):
    """Rows r and n − r of the first column hold the same measurement."""
    first, _ = split_metric(model.likelihood)
    column = (first.weight[:, 0] > 0)[1:]
    assert torch.equal(column, column.flip(0))


def test_noise_says_nothing_alike_in_the_two_sets(model, noisy):
    """The same particles, the same states: what one set prefers by chance the other does not."""
    states = States(torch.tensor([[-3.0, 0.0], [3.0, 0.0]]), torch.arange(2), torch.full((2,), 0.5))
    scores = score_states(model, noisy, torch.arange(COUNT), states, lambda done, total: None)
    preferred = [side[:, 1] - side[:, 0] for side in (scores.first, scores.second, scores.whole)]
    apart, together = (
        float(torch.corrcoef(torch.stack([preferred[0], other]))[0, 1]) for other in preferred[1:]
    )
    assert abs(apart) < 0.25
    assert together > 0.5


def test_latent_zero_scores_as_the_neutral_model(model, noisy):
    index = torch.tensor([4, 2, 77])
    states = States(torch.zeros(1, 2), torch.arange(1), torch.ones(1))
    scores = score_states(model, noisy, index, states, lambda done, total: None)
    torch.testing.assert_close(scores.whole.expand(-1, 2), scores.single)
    alone = score_states(model, noisy, index[1:2], states, lambda done, total: None)
    torch.testing.assert_close(alone.single[0], scores.single[1], rtol=1e-4, atol=1e-4)


def test_states_lie_in_their_clusters_and_share_the_particles():
    generator = torch.Generator().manual_seed(3)
    cluster = torch.repeat_interleave(torch.arange(3), torch.tensor([600, 300, 20]))
    latent = 5.0 * cluster[:, None] + torch.randn(920, 2, generator=generator)
    states = find_states(latent, cluster, seed=0)
    assert float(states.share.sum()) == pytest.approx(1)
    for name in range(3):
        mine = states.cluster == name
        assert int(mine.sum()) >= 2
        share = float((cluster == name).float().mean())
        assert float(states.share[mine].sum()) == pytest.approx(share, abs=1e-6)
        assert float((states.latent[mine] - 5.0 * name).abs().max()) < 4
