"""Pictures of the latent space: principal components, which can be inverted, and UMAP."""

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from torch import Tensor

LEAST_FITTED = 10
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
    """UMAP of the latents in the plane (umap-learn); the same seed gives the same picture.

    Distances between groups and sizes of groups mean nothing in it, and there is no way back to
    the latent space. Beyond 20,000 particles a random 20,000 are laid out and the others placed
    among their neighbours.
    """
    values = latent.detach().cpu().double().numpy()
    if len(values) < LEAST_FITTED:
        raise ValueError(f"UMAP needs at least {LEAST_FITTED} particles, got {len(values)}")
    chosen = np.ones(len(values), dtype=bool)
    if len(values) > FITTED_AT_MOST:
        drawn = np.random.default_rng(seed).permutation(len(values))[:FITTED_AT_MOST]
        chosen = np.isin(np.arange(len(values)), drawn)
    fitted = values[chosen]
    point = np.empty((len(values), 2), dtype=np.float32)
    point[chosen] = _lay_out(fitted, min(neighbors, len(fitted) - 1), epochs, seed)
    if not chosen.all():
        point[~chosen] = _place_among(values[~chosen], fitted, point[chosen], neighbors=5)
    return Embedding(torch.from_numpy(point), "umap")


def _lay_out(
    latent: Float[np.ndarray, "particles latent"], neighbors: int, epochs: int, seed: int
) -> Float[np.ndarray, "particles 2"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImportWarning)  # its optional TensorFlow
        from umap import UMAP  # seconds to import, and compiled at its first use

    # Exact neighbours from a k-d tree: the approximate search would take a minute to compile.
    distance, index = cKDTree(latent).query(latent, k=neighbors)
    start = _start(latent)
    start = start * (10 / max(float(np.ptp(start, axis=0).max()), 1e-12))
    # Particles with the same latent need different places to be pulled and pushed from.
    start = start + np.random.default_rng(seed).normal(scale=1e-3, size=start.shape)
    layout = UMAP(
        n_neighbors=neighbors, n_epochs=epochs, init=start.astype(np.float32),
        random_state=seed, n_jobs=1, transform_seed=seed,
        precomputed_knn=(index.astype(np.int32), distance.astype(np.float32), None),
    )  # fmt: skip
    with warnings.catch_warnings():
        # It says that new particles cannot be placed: they are placed by `_place_among`.
        warnings.filterwarnings("ignore", message=r"precomputed_knn\[2\]")
        point: Float[np.ndarray, "particles 2"] = layout.fit_transform(latent.astype(np.float32))
    return point


def _place_among(
    latent: Float[np.ndarray, "others latent"],
    fitted: Float[np.ndarray, "particles latent"],
    point: Float[np.ndarray, "particles 2"],
    neighbors: int,
) -> Float[np.ndarray, "others 2"]:
    """Inverse-distance mean of the places of the nearest fitted particles."""
    distance, index = cKDTree(fitted).query(latent, k=neighbors)
    weight = 1 / (distance + 1e-9 * max(float(distance.mean()), 1e-12))
    weight = weight / weight.sum(axis=1, keepdims=True)
    placed: Float[np.ndarray, "others 2"] = (weight[..., None] * point[index]).sum(axis=1)
    return placed.astype(np.float32)


def _start(latent: Float[np.ndarray, "particles latent"]) -> Float[np.ndarray, "particles 2"]:
    """First two principal components; with one latent dimension the second is zero."""
    point = fit_pca(torch.from_numpy(latent)).point.double().numpy()
    return np.pad(point, ((0, 0), (0, max(0, 2 - point.shape[1]))))[:, :2]
