import math

import pytest
import torch
from populations_of_truth import on_line, on_ring, posteriors, two_wells

from cryomix.latent.deconvolution import fit_weights, line_smoothing
from cryomix.latent.density import estimate_density
from cryomix.latent.populations import (
    POINTS,
    STRETCHES,
    PathPopulation,
    free_energy,
    populate_path,
    stretch_lengths,
)
from cryomix.latent.reduction import fit_pca


def _true_share(found: PathPopulation, true: torch.Tensor) -> torch.Tensor:
    near = torch.cdist(true, found.path.double()).argmin(dim=1) * STRETCHES // POINTS
    return torch.bincount(near, minlength=STRETCHES).double() / len(true)


def _distance(first: torch.Tensor, second: torch.Tensor) -> float:
    """Total variation."""
    return 0.5 * float((first.double() - second.double()).abs().sum())


@pytest.fixture(scope="module", params=["line", "ring"])
def found(request) -> tuple[PathPopulation, torch.Tensor]:
    place = on_line if request.param == "line" else on_ring
    latent, covariance = posteriors(place(two_wells(3000, 0)), 0.3, 1)
    closed = request.param == "ring"
    population = populate_path(latent, covariance, is_closed=closed, draws=60, seed=0)
    return population, _true_share(population, place(two_wells(100_000, 5)))


def test_populations_are_nearer_to_the_truth_than_counted_latents(found):
    population, true = found
    factor = 0.75 if not population.is_closed else 0.85
    assert _distance(population.share, true) < factor * _distance(population.counted, true)
    assert float(population.share.sum()) == pytest.approx(1)
    assert population.particles == 3000


def test_intervals_hold_most_of_the_true_populations(found):
    population, true = found
    low, high = population.draws.double().quantile(torch.tensor([0.025, 0.975]).double(), dim=0)
    held = ((true >= low) & (true <= high))[true > 0.01]
    assert float(held.double().mean()) >= 0.6
    width = ((high - low) / true)[true > 0.04]
    assert float(width.median()) < 1.3


def test_the_wells_differ_in_free_energy_as_they_do_in_truth(found):
    population, true = found
    top = int(true.argmax())
    other = true.clone()
    other[max(0, top - 3) : top + 4] = 0
    wells = [torch.arange(k - 1, k + 2) % STRETCHES for k in (top, int(other.argmax()))]

    def difference(share: torch.Tensor) -> torch.Tensor:
        return (share[..., wells[0]].sum(-1) / share[..., wells[1]].sum(-1)).log()

    error = difference(population.share.double()) - difference(true)
    assert abs(float(error)) < 3 * float(difference(population.draws.double()).std()) + 0.05
    assert float(difference(true)) == pytest.approx(math.log(3), abs=0.35)


def test_exact_latents_are_counted():
    latent = on_line(two_wells(2000, 3)).float() + 0.01 * torch.randn(2000, 2)
    covariance = 1e-6 * torch.eye(2).expand(2000, -1, -1)
    population = populate_path(latent, covariance, is_closed=False, draws=20, seed=0)
    assert _distance(population.share, population.counted) < 0.05
    assert float(population.particle_error.max()) < 0.7


def test_the_same_seed_gives_the_same_populations():
    latent, covariance = posteriors(on_line(two_wells(300, 3)), 0.2, 3)
    first, again = (
        populate_path(latent, covariance, is_closed=False, draws=20, seed=4) for _ in range(2)
    )
    assert torch.equal(first.draws, again.draws)


def test_weights_give_back_what_was_blurred():
    blur = line_smoothing(20, 1.5, is_closed=False)
    true = torch.zeros(20, dtype=torch.float64)
    true[4:8], true[13:16] = 0.15, 0.4 / 3
    none = torch.eye(20, dtype=torch.float64)
    found = fit_weights(blur, 1000 * (blur @ true)[:, None], none, rounds=5000)[0]
    assert _distance(found, true) < 0.15 * _distance(blur @ true, true)


@pytest.mark.parametrize("closed", [True, False])
def test_smoothing_keeps_the_sum_and_what_is_even(closed):
    kernel = line_smoothing(15, 2.0, is_closed=closed)
    torch.testing.assert_close(kernel.sum(0), torch.ones(15).double())
    torch.testing.assert_close(kernel @ torch.ones(15).double(), torch.ones(15).double())
    assert float(kernel[0, 14]) == pytest.approx(float(kernel[0, 1]) if closed else 0, abs=1e-9)


def test_stretches_are_as_long_as_the_path():
    position = torch.arange(POINTS).double()
    assert float(stretch_lengths(position).sum()) == pytest.approx(POINTS)
    closed = torch.cat([position, torch.tensor([POINTS + 4.0]).double()])
    lengths = stretch_lengths(closed)
    assert float(lengths.sum()) == pytest.approx(POINTS + 4)
    assert float(lengths[0]) > float(lengths[1])


def test_free_energy_is_per_length_and_finite_where_nobody_is():
    energy = free_energy(torch.tensor([0.6, 0.3, 0.0]), torch.tensor([2.0, 1.0, 1.0]), 1000)
    assert float(energy[0]) == pytest.approx(float(energy[1]))
    assert float(energy[2]) == pytest.approx(math.log(2000))


def test_the_density_over_the_plane_is_narrower_than_the_latents():
    true = on_ring(torch.rand(4000, generator=torch.Generator().manual_seed(0)).double())
    latent, covariance = posteriors(true, 0.3, 1)
    pca = fit_pca(latent)
    plane = estimate_density(covariance, pca)
    cell = float((plane.x[1] - plane.x[0]) * (plane.y[1] - plane.y[0]))
    assert float(plane.density.sum()) * cell == pytest.approx(1, abs=1e-3)
    y, x = torch.meshgrid(plane.y, plane.x, indexing="ij")
    radius = torch.hypot(x, y)
    weight = plane.density / plane.density.sum()
    middle = float((weight * radius).sum())
    spread = float((weight * (radius - middle).square()).sum().sqrt())
    assert spread < 0.75 * float(pca.point.norm(dim=1).std())
