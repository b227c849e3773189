"""Pictures of the latent space: principal components, which can be inverted, and UMAP."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

FITTED_AT_MOST = 20_000  # particles in a UMAP fit; the rest are placed among them


@dataclass(frozen=True, slots=True)
class Embedding:
    """The latent space along other axes.

    Attributes
    ----------
    point
        Place of each particle.
    method
        ``pca`` or ``umap``.
    basis
        Rows are the axes, in latent units, orthonormal; only a PCA has them.
    mean
        The latent at the origin of the axes.
    explained_variance
        Variance of the latents along each axis, largest first.
    """

    point: Float[Tensor, "particles axes"]
    method: str
    basis: Float[Tensor, "axes latent"] | None = None
    mean: Float[Tensor, "latent"] | None = None
    explained_variance: Float[Tensor, "axes"] | None = None

    def __len__(self) -> int:
        return len(self.point)

    def to_embedding(self, latent: Float[Tensor, "points latent"]) -> Float[Tensor, "points axes"]:
        """Where latent vectors lie along the axes."""
        basis, mean = self._axes()
        return ((latent.double() - mean) @ basis.mT).to(latent)

    def to_latent(self, point: Float[Tensor, "points axes"]) -> Float[Tensor, "points latent"]:
        """Inverse of `to_embedding`."""
        basis, mean = self._axes()
        return (point.double() @ basis + mean).to(point)

    def _axes(self) -> tuple[Tensor, Tensor]:
        if self.basis is None or self.mean is None:
            raise ValueError(f"an embedding by {self.method} has no axes to go along")
        return self.basis, self.mean


def fit_pca(latent: Float[Tensor, "particles latent"]) -> Embedding:
    """Principal components of the latents, all of them, so that nothing is lost.

    Of the two signs of an axis the one is taken that makes its largest entry positive.
    """
    if len(latent) < 1:
        raise ValueError("principal components need at least one particle")
    values = latent.detach().cpu().double()
    mean = values.mean(dim=0)
    offset = values - mean
    variance, vectors = torch.linalg.eigh(offset.mT @ offset / max(len(values) - 1, 1))
    basis = with_fixed_signs(vectors.mT.flip(0))
    return Embedding(
        point=(offset @ basis.mT).float(),
        method="pca",
        basis=basis,
        mean=mean,
        explained_variance=variance.flip(0).clamp_min(0),
    )


def with_fixed_signs(rows: Float[Tensor, "rows latent"]) -> Float[Tensor, "rows latent"]:
    """Each row or its negative, whichever has its largest entry positive."""
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    return rows * torch.where(largest < 0, -1.0, 1.0)


def fit_umap(
    latent: Float[Tensor, "particles latent"],
    seed: int,
    neighbors: int = 15,
    epochs: int = 200,
) -> Embedding:
    """UMAP of the latents in the plane; the same seed gives the same picture.

    Distances between groups and sizes of groups mean nothing in it, and there is no way back to
    the latent space. Beyond 20,000 particles a random 20,000 are laid out and the others placed
    among their neighbours.
    """
    from cryomix.latent.umap import place_among, umap_layout  # compiles: only when asked for

    values = latent.detach().cpu().double().numpy()
    if len(values) < 2:
        raise ValueError(f"UMAP needs at least two particles, got {len(values)}")
    chosen = np.ones(len(values), dtype=bool)
    if len(values) > FITTED_AT_MOST:
        drawn = np.random.default_rng(seed).permutation(len(values))[:FITTED_AT_MOST]
        chosen = np.isin(np.arange(len(values)), drawn)
    fitted = values[chosen]
    point = np.empty((len(values), 2), dtype=np.float32)
    point[chosen] = umap_layout(
        fitted, _start(fitted), neighbors=neighbors, epochs=epochs, seed=seed
    )
    if not chosen.all():
        point[~chosen] = place_among(values[~chosen], fitted, point[chosen], neighbors=5)
    return Embedding(torch.from_numpy(point), "umap")


def _start(latent: Float[np.ndarray, "particles latent"]) -> Float[np.ndarray, "particles 2"]:
    """First two principal components; with one latent dimension the second is zero."""
    point = fit_pca(torch.from_numpy(latent)).point.double().numpy()
    return np.pad(point, ((0, 0), (0, max(0, 2 - point.shape[1]))))[:, :2]
