"""Half the frequencies score as they do on the full grid."""

from dataclasses import replace

import pytest
import torch

from cryomix.fitting.coarse_view import coarse_view
from cryomix.fitting.score import make_metric, score_projections
from cryomix.geometry.fourier import FourierGrid, to_fourier
from cryomix.geometry.poses import random_poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.noise import Spectrum
from cryomix.imaging.particles import ParticleBatch
from cryomix.imaging.projection import project_gaussians


@pytest.fixture
def scene():
    """A model, three particles of 98 × 98 pixels, and a score whose weights differ by ring."""
    generator = torch.Generator().manual_seed(0)
    grid = FourierGrid(98, 2.0)
    model = GaussianModel(
        20 * torch.randn(30, 3, generator=generator), torch.full((30,), 0.5), torch.full((30,), 4.0)
    )
    poses = random_poses(3, generator)
    transfer = torch.sin(0.5 + grid.radius.float() * 40).expand(3, -1, -1)
    image = torch.randn(3, 98, 98, generator=generator)
    image_ft = project_gaussians(model, poses, grid) * transfer + 30 * to_fourier(image)
    ring = torch.arange(grid.n_rings)
    spectrum = Spectrum(
        1 + 0.01 * ring, 9e6 * (1 + 0.1 * ring), torch.ones(grid.n_rings), torch.tensor(0.01)
    )
    batch = ParticleBatch(image_ft, transfer.contiguous(), poses, torch.arange(3))
    return model, batch, make_metric("snr", spectrum, grid, 5.0)


def test_scores_are_those_of_the_same_frequencies_on_the_full_grid(scene):
    model, batch, metric = scene
    seen, coarse = coarse_view(batch, metric)
    assert coarse.grid.box_size == 48
    assert coarse.grid.box_length == pytest.approx(metric.grid.box_length)
    band = metric.grid.ring <= coarse.last_ring
    limited = replace(metric, weight=torch.where(band, metric.weight, 0.0))
    scores = [
        score_projections(project_gaussians(model, each.poses, chosen.grid), each, chosen)
        for each, chosen in ((seen, coarse), (batch, limited))
    ]
    torch.testing.assert_close(*scores, rtol=1e-3, atol=0)
    whole = score_projections(project_gaussians(model, batch.poses, metric.grid), batch, metric)
    assert not torch.allclose(whole, scores[1], rtol=1e-3)


def test_small_boxes_stay_as_they_are(scene):
    _, batch, metric = scene
    seen, small = coarse_view(*coarse_view(batch, metric))
    assert small.grid.box_size == 48
    assert seen.image_ft.shape[-2] == 48
