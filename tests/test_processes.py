"""A run of one process shares with nobody, and blocks of particles cover all of them once."""

import pytest
import torch

from cryomix import processes


@pytest.fixture
def as_one_of(monkeypatch):
    """Pretend to be process `rank` of `count`."""

    def as_one_of(rank, count):
        monkeypatch.setattr(processes, "has_joined", lambda: True)
        monkeypatch.setattr(processes.dist, "get_world_size", lambda: count)
        monkeypatch.setattr(processes.dist, "get_rank", lambda: rank)

    return as_one_of


def test_one_process_has_all_of_it():
    index = torch.tensor([5, 1, 3])
    values = torch.tensor([1.0, 2.0])
    processes.sum_over_processes([values])
    processes.sum_on_first(values)
    processes.take_from_first([values])
    assert torch.equal(values, torch.tensor([1.0, 2.0]))
    assert torch.equal(index[processes.positions_here(index, 6)], index)
    assert torch.equal(processes.share_here(index), index)
    assert processes.process_count() == 1
    assert processes.is_first_process()
    assert processes.is_first_to_fail()
    assert processes.agree(7) == 7


def test_a_view_is_sent_whole_and_arrives_in_the_view(monkeypatch):
    def broadcast(tensor, src):
        assert tensor.is_contiguous()
        tensor += 10

    monkeypatch.setattr(processes, "has_joined", lambda: True)
    monkeypatch.setattr(processes.dist, "broadcast", broadcast)
    values = torch.arange(6).reshape(3, 2)
    processes.take_from_first([values[:, 1]])
    assert values.tolist() == [[0, 11], [2, 13], [4, 15]]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_every_particle_belongs_to_one_process_whatever_the_batch(as_one_of, count):
    particles = 20
    order = torch.randperm(particles, generator=torch.Generator().manual_seed(0))
    owners = torch.full((particles,), -1)
    for rank in range(count):
        as_one_of(rank, count)
        for batch in order.split(6):
            mine = batch[processes.positions_here(batch, particles)]
            assert (owners[mine] == -1).all()
            owners[mine] = rank
    assert (owners.diff() >= 0).all()
    assert (owners.bincount(minlength=count) - particles / count).abs().max() < 1


def test_shares_follow_one_another(as_one_of):
    index = torch.arange(3) * 10
    shares = []
    for rank in range(5):
        as_one_of(rank, 5)
        shares.append(processes.share_here(index))
    assert torch.equal(torch.cat(shares), index)
    assert max(map(len, shares)) == 1
