"""Particles divided by where they lie in the latent space, and into how many parts they fall.

Two numbers are kept apart. *Groups* are regions with a gap of density between them: a ligand that
is bound or not makes two, a motion through all its states makes one. *Clusters* are the portions
for which maps are rebuilt: a group is divided further, so that a motion is seen state by state.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.latent.gaps import divide_at_gaps
from cryomix.latent.reduction import fit_pca

Method = Literal["mixture", "kmeans"]

FITTED_AT_MOST = 10_000  # particles that a fit sees; the rest are assigned
FEWEST_CLUSTERS = 4  # of a continuous motion


@dataclass(frozen=True, slots=True)
class Clusters:
    """A cluster for each particle, in order along the first principal axis.

    Attributes
    ----------
    label
        0 … K − 1.
    center
        Mean latent of each cluster.
    group
        Group of each particle: regions with a gap of density between them.
    suggested
        Whether the number of clusters came from the data.
    """

    label: Int64[Tensor, "particles"]
    center: Float[Tensor, "clusters latent"]
    group: Int64[Tensor, "particles"]
    suggested: bool

    def __len__(self) -> int:
        """Number of clusters."""
        return len(self.center)

    @property
    def groups(self) -> int:
        """Number of regions with a gap of density between them."""
        return int(self.group.max()) + 1

    @property
    def size(self) -> Int64[Tensor, "clusters"]:
        """Particles in each cluster."""
        return torch.bincount(self.label, minlength=len(self))


def cluster(
    latent: Float[Tensor, "particles latent"],
    covariance: Float[Tensor, "particles latent latent"] | None = None,
    *,
    count: int | None = None,
    method: Method = "mixture",
    seed: int = 0,
) -> Clusters:
    """Divide the particles into clusters.

    Parameters
    ----------
    latent
        Of each particle.
    covariance
        Of the error of each latent; without it latents are taken for exact.
    count
        How many clusters; suggested from the data where it is None: as many as there are groups,
        at least four, each group divided by itself in proportion to its size.
    method
        Gaussian mixture with full covariances, or k-means.
    seed
        The same seed gives the same clusters.

    Raises
    ------
    OptionError
        If `count` is below 1 or above the number of particles.
    """
    values = latent.detach().cpu().double().numpy()
    if count is not None and not 1 <= count <= len(values):
        raise OptionError(
            f"number of clusters must be between 1 and the {len(values)} particles, got {count}"
        )
    if covariance is None:
        errors = np.zeros((*values.shape, values.shape[1]))
    else:
        errors = covariance.detach().cpu().double().numpy()
    group = divide_at_gaps(values, errors, fitted_at_most=FITTED_AT_MOST, seed=seed)
    if count is None:
        label = _divide_groups(values, group, method, seed)
    else:
        label = _divide(values, count, method, seed)
    label = _in_order(values, label)
    center = np.stack([values[label == k].mean(axis=0) for k in range(label.max() + 1)])
    return Clusters(
        label=torch.from_numpy(label),
        center=torch.from_numpy(center).to(latent.dtype),
        group=torch.from_numpy(_in_order(values, group)),
        suggested=count is None,
    )


def _divide_groups(
    values: Float[np.ndarray, "particles latent"],
    group: Int64[np.ndarray, "particles"],
    method: Method,
    seed: int,
) -> Int64[np.ndarray, "particles"]:
    """Each group divided in proportion to its size into at least `FEWEST_CLUSTERS` in all."""
    size = np.bincount(group)
    # Fewer than 50 particles make no map worth looking at.
    wanted = max(len(size), min(FEWEST_CLUSTERS, len(values) // 50))
    parts = np.ones(len(size), dtype=np.int64)
    while parts.sum() < wanted:
        parts[np.argmax(size / parts)] += 1
    label = np.zeros(len(values), dtype=np.int64)
    for name, count in enumerate(parts):
        inside = group == name
        label[inside] = parts[:name].sum() + _divide(values[inside], int(count), method, seed)
    return label


def _divide(
    values: Float[np.ndarray, "particles latent"], count: int, method: Method, seed: int
) -> Int64[np.ndarray, "particles"]:
    sample = _sample(values, seed)
    if count == 1:
        return np.zeros(len(values), dtype=np.int64)
    if method == "mixture" and len(sample) >= 2 * count:
        label = _fit_mixture(sample, count, seed).predict(values)
    else:
        label = _fit_kmeans(sample, count, seed).predict(values)
    return label.astype(np.int64)


def _fit_mixture(
    sample: Float[np.ndarray, "sample latent"], components: int, seed: int
) -> GaussianMixture:
    # A floor on the variances relative to the data, which may have any scale.
    floor = 1e-6 * float(sample.var(axis=0).max()) + 1e-20
    mixture = GaussianMixture(
        components, random_state=seed, reg_covar=floor, max_iter=200, tol=1e-3
    )
    with warnings.catch_warnings():
        # More components than the data support need not converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(sample)


def _fit_kmeans(sample: Float[np.ndarray, "sample latent"], count: int, seed: int) -> KMeans:
    with warnings.catch_warnings():
        # Fewer distinct particles than clusters: the empty ones are dropped afterwards.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(count, random_state=seed, n_init=4).fit(sample)


def _sample(
    values: Float[np.ndarray, "particles latent"], seed: int
) -> Float[np.ndarray, "sample latent"]:
    if len(values) <= FITTED_AT_MOST:
        return values
    chosen = np.random.default_rng(seed).permutation(len(values))[:FITTED_AT_MOST]
    return values[np.sort(chosen)]


def _in_order(
    values: Float[np.ndarray, "particles latent"], label: Int64[np.ndarray, "particles"]
) -> Int64[np.ndarray, "particles"]:
    """Labels counted up along the first principal axis, without empty ones."""
    first = fit_pca(torch.from_numpy(values)).point[:, 0].double().numpy()
    names, label = np.unique(label, return_inverse=True)
    middle = np.bincount(label, weights=first) / np.bincount(label)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.argsort(middle, kind="stable")] = np.arange(len(names))
    return rank[label]
