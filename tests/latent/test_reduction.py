import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from cryomix.latent import reduction
from cryomix.latent.reduction import fit_pca, fit_umap


@pytest.fixture
def latent() -> torch.Tensor:
    """An arc in four dimensions, 600 particles."""
    generator = np.random.default_rng(3)
    angle = 3 * generator.random(600)
    arc = np.stack([np.cos(angle), np.sin(angle), 0.3 * angle, 0 * angle], axis=1)
    return torch.from_numpy(arc + 0.05 * generator.normal(size=arc.shape)).float()


def _kept_neighbors(latent: torch.Tensor, point: torch.Tensor, count: int = 20) -> float:
    """Share of the nearest in the latent space that are among the nearest in the picture."""
    before, after = (
        cKDTree(values.numpy()).query(values.numpy(), k=count + 1)[1][:, 1:]
        for values in (latent, point)
    )
    pairs = zip(before, after, strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / count for a, b in pairs]))


def test_pca_inverts_exactly(latent):
    pca = fit_pca(latent)
    values = latent.double()
    torch.testing.assert_close(pca.to_latent(pca.to_embedding(values)), values, rtol=0, atol=1e-12)
    torch.testing.assert_close(pca.to_latent(pca.point), latent, rtol=0, atol=1e-6)


def test_pca_axes_are_the_directions_of_the_data():
    generator = torch.Generator().manual_seed(1)
    coordinate = torch.randn(5000, 3, generator=generator) * torch.tensor([3.0, 2.0, 0.5])
    axes = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    pca = fit_pca(coordinate @ axes.mT + 7)
    assert pca.basis is not None
    overlap = (pca.basis.float() @ axes).abs()
    torch.testing.assert_close(overlap, torch.eye(3), atol=0.05, rtol=0)
    torch.testing.assert_close(
        pca.explained_variance.float(), torch.tensor([9.0, 4.0, 0.25]), rtol=0.06, atol=0
    )


def test_pca_signs_do_not_depend_on_the_data_sign(latent):
    basis, mirrored = fit_pca(latent).basis, fit_pca(-latent).basis
    torch.testing.assert_close(basis, mirrored)
    assert bool((basis.gather(1, basis.abs().argmax(1, keepdim=True)) > 0).all())


def test_umap_keeps_more_neighbors_than_two_principal_components():
    """A cloud that is round in four dimensions has no good plane."""
    latent = torch.randn(1500, 4, generator=torch.Generator().manual_seed(0))
    linear = _kept_neighbors(latent, fit_pca(latent).point[:, :2])
    umap = _kept_neighbors(latent, fit_umap(latent, seed=0).point)
    assert umap > 1.5 * linear


def test_umap_separates_what_is_separate():
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(600) % 3
    latent = torch.randn(600, 4, generator=generator) * 0.1 + torch.eye(4)[label]
    point = fit_umap(latent, seed=0).point
    near = cKDTree(point.numpy()).query(point.numpy(), k=11)[1][:, 1:]
    assert float((label[torch.from_numpy(near)] == label[:, None]).float().mean()) > 0.99


def test_umap_repeats_with_its_seed(latent):
    first, again = (fit_umap(latent, seed=5, epochs=20).point for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, fit_umap(latent, seed=6, epochs=20).point)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_umap_of_few_dimensions_keeps_their_order(dimensions):
    latent = torch.linspace(0, 1, 300)[:, None].repeat(1, dimensions)
    point = fit_umap(latent, seed=0).point
    assert point.shape == (300, 2)
    step = point.diff(dim=0).norm(dim=1)
    assert float(step.max()) < 0.1 * float((point[-1] - point[0]).norm())


def test_umap_of_identical_or_very_few_particles_is_finite():
    for latent in (torch.zeros(50, 4), torch.randn(10, 3)):
        assert bool(fit_umap(latent, seed=0).point.isfinite().all())
    with pytest.raises(ValueError, match="at least 10 particles, got 3"):
        fit_umap(torch.eye(3), seed=0)


def test_umap_places_the_particles_that_were_not_fitted(latent, monkeypatch):
    monkeypatch.setattr(reduction, "FITTED_AT_MOST", 300)
    point = fit_umap(latent, seed=0).point
    assert bool(point.isfinite().all())
    # Chance would keep 20 of 600, 3 %.
    assert _kept_neighbors(latent, point) > 0.2


def test_a_umap_cannot_be_inverted(latent):
    embedding = fit_umap(latent[:50], seed=0, epochs=2)
    with pytest.raises(ValueError, match="an embedding by umap has no axes"):
        embedding.to_latent(embedding.point)
