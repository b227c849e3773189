import numpy as np
import pytest
import torch

from cryomix.errors import OptionError
from cryomix.latent import clusters
from cryomix.latent.clusters import cluster


def _arc(particles: int) -> torch.Tensor:
    generator = np.random.default_rng(0)
    angle = 4 * generator.random(particles)
    arc = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return torch.from_numpy(arc + 0.08 * generator.normal(size=arc.shape)).float()


def _bound_or_not(particles: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A motion along the first axis; the ligand shifts the second by five times the noise."""
    generator = np.random.default_rng(0)
    bound = generator.random(particles) < 0.4
    latent = generator.normal(size=(particles, 2)) * 0.1
    latent += np.stack([2 * generator.random(particles), 0.5 * bound], axis=1)
    return torch.from_numpy(latent).float(), torch.from_numpy(bound).long()


def test_a_continuous_motion_is_one_group_in_four_clusters():
    found = cluster(_arc(3000))
    assert found.groups == 1
    assert len(found) == 4
    assert found.suggested
    assert int(found.size.min()) > 400


def test_a_ring_is_one_group():
    angle = torch.linspace(0, 2 * torch.pi, 3000)
    ring = torch.stack([angle.cos(), angle.sin()], dim=1)
    noise = torch.randn(ring.shape, generator=torch.Generator().manual_seed(0))
    assert cluster(ring + 0.05 * noise).groups == 1


def test_bound_and_unbound_are_two_groups_and_no_cluster_mixes_them():
    latent, bound = _bound_or_not(3000)
    found = cluster(latent)
    assert found.groups == 2
    agreement = float((found.group == bound).double().mean())
    assert max(agreement, 1 - agreement) > 0.98
    assert len(found) == 4
    for label in range(len(found)):
        assert len(found.group[found.label == label].unique()) == 1


def test_a_round_cloud_is_one_group():
    cloud = torch.randn(2000, 4, generator=torch.Generator().manual_seed(0))
    assert cluster(cloud).groups == 1


def test_a_rare_state_is_a_group_but_a_stray_particle_is_not():
    cloud = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    rare, stray = cloud.clone(), cloud.clone()
    rare[:60] += 9
    stray[:3] += 30
    assert cluster(rare).groups == 2
    assert cluster(stray).groups == 1


@pytest.mark.parametrize("method", ["mixture", "kmeans"])
def test_labels_count_up_along_the_first_axis(method):
    latent = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * 0.1
    latent[:, 0] += torch.tensor([3.0, 1, 2, 0, 4]).repeat(100)
    found = cluster(latent, count=5, method=method, seed=3)
    assert not found.suggested
    assert found.size.tolist() == [100] * 5
    torch.testing.assert_close(found.center[:, 0], torch.arange(5).float(), atol=0.05, rtol=0)
    assert found.label[:5].tolist() == [3, 1, 2, 0, 4]


@pytest.mark.parametrize("method", ["mixture", "kmeans"])
def test_the_same_seed_gives_the_same_clusters(method):
    latent = _arc(400)
    first, again = (cluster(latent, count=6, method=method, seed=9) for _ in range(2))
    assert torch.equal(first.label, again.label)


def test_one_dimension(monkeypatch):
    latent = torch.cat([torch.linspace(0, 1, 800), torch.linspace(3, 4, 800)])[:, None]
    assert cluster(latent).groups == 2
    monkeypatch.setattr(clusters, "FITTED_AT_MOST", 500)
    found = cluster(latent)
    assert found.groups == 2
    assert len(found.label) == 1600


def test_identical_particles_and_very_few_do_not_fail():
    assert len(cluster(torch.zeros(300, 3))) == 1
    assert len(cluster(torch.zeros(300, 3), count=5, method="kmeans")) == 1
    assert len(cluster(torch.eye(3))) == 1


@pytest.mark.parametrize("count", [0, 4])
def test_an_impossible_number_of_clusters_is_refused(count):
    with pytest.raises(OptionError, match=f"between 1 and the 3 particles, got {count}"):
        cluster(torch.eye(3), count=count)
