import jaxtyping
import pytest
import torch

from cryomix.latent.latent_map import (
    LatentMap,
    Selection,
    nearest,
    nearest_along,
    select_cluster,
)


@pytest.fixture
def latent_map() -> LatentMap:
    """Five particles on a line at 0, 1, 2, 3, 10, whose rows in the file run backwards."""
    latent = torch.tensor([[0.0, 0], [1, 0], [2, 0], [3, 0], [10, 0]])
    index = torch.tensor([14, 13, 12, 11, 10])
    return LatentMap(latent, torch.ones(5, 2), index, torch.zeros(5))


def test_nearest_are_the_closest_and_named_by_their_own_index(latent_map):
    assert nearest(latent_map, torch.tensor([2.2, 0.0]), 2).index.tolist() == [11, 12]
    assert nearest(latent_map, torch.tensor([9.0, 0.0]), 1).index.tolist() == [10]


def test_nearest_along_gives_one_selection_per_point(latent_map):
    points = torch.tensor([[0.0, 0], [10, 0]])
    first, last = nearest_along(latent_map, points, 3)
    assert first.index.tolist() == [12, 13, 14]
    assert last.index.tolist() == [10, 11, 12]


def test_more_than_there_are_gives_all(latent_map):
    assert len(nearest(latent_map, torch.zeros(2), 100)) == 5


def test_nearest_needs_a_positive_count(latent_map):
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        nearest(latent_map, torch.zeros(2), 0)


def test_select_cluster_takes_the_particles_of_that_label(latent_map):
    selection = select_cluster(latent_map, torch.tensor([0, 1, 1, 0, 2]), 1)
    assert selection.index.tolist() == [12, 13]
    assert selection.label == "cluster 2"


def test_a_selection_must_be_sorted_and_unique():
    for index in ([2, 1], [1, 1]):
        with pytest.raises(ValueError, match="sorted and unique"):
            Selection(torch.tensor(index), "wrong")


def test_latents_must_be_finite():
    latent = torch.zeros(3, 2)
    latent[1, 0] = torch.nan
    with pytest.raises(ValueError, match="1 of 3 rows are not"):
        LatentMap(latent, torch.zeros(3, 2), torch.arange(3), torch.zeros(3))


def test_shape_checks_are_live():
    with pytest.raises(jaxtyping.TypeCheckError):
        LatentMap(torch.zeros(3, 2), torch.zeros(3, 1), torch.arange(3), torch.zeros(3))
