import torch

from cryomix.latent.wells import find_wells


def _draws(energy: torch.Tensor, noise: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return energy + noise * torch.randn(400, len(energy), generator=generator)


def test_two_wells_with_a_high_barrier_are_two():
    energy = torch.tensor([2.0, 0.5, 2.0, 3.5, 1.0, 0.0, 1.0])
    wells = find_wells(energy, _draws(energy, 0.1), is_closed=False)
    assert [well.bottom for well in wells] == [5, 1]
    assert sorted(torch.cat([well.stretches for well in wells]).tolist()) == list(range(7))
    assert wells[1].stretches.tolist()[:3] == [0, 1, 2]


def test_a_barrier_within_its_error_or_below_one_kt_divides_nothing():
    energy = torch.tensor([2.0, 0.5, 2.0, 3.5, 1.0, 0.0, 1.0])
    assert len(find_wells(energy, _draws(energy, 2.0), is_closed=False)) == 1
    low = 0.25 * energy
    assert len(find_wells(low, _draws(low, 0.01), is_closed=False)) == 1


def test_a_well_across_the_seam_of_a_loop_is_one():
    energy = torch.tensor([0.0, 1.0, 3.0, 1.0, 0.5, 3.0, 1.0, 0.2])
    closed = find_wells(energy, _draws(energy, 0.05), is_closed=True)
    assert [well.bottom for well in closed] == [0, 4]
    assert {6, 7, 0, 1} <= set(closed[0].stretches.tolist())
    assert len(find_wells(energy, _draws(energy, 0.05), is_closed=False)) == 3
