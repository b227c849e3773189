"""Particles divided by where they lie in the latent space, and into how many parts they fall.

Two numbers are kept apart. *Groups* are regions with a gap of density between them: a ligand that
is bound or not makes two, a motion through all its states makes one. *Clusters* are the portions
for which maps are rebuilt: a group is divided further, so that a motion is seen state by state.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.latent.reduction import fit_pca

Method = Literal["mixture", "kmeans"]

FITTED_AT_MOST = 10_000  # particles that a fit sees; the rest are assigned
MOST_COMPONENTS = 12
FEWEST_CLUSTERS = 4  # of a continuous motion
SMALLEST_GROUP = 0.01  # share of the particles
GAP = 0.6  # largest density between two groups, over that of the weaker one
SURE_FROM = 2_000  # particles; with fewer the density is less sure and the gap must be deeper


@dataclass(frozen=True, slots=True)
class Criterion:
    """How well a mixture of `components` Gaussians describes the latents.

    Attributes
    ----------
    components
        How many.
    bic
        Bayesian information criterion per particle; the smallest is the best.
    """

    components: int
    bic: float


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
    criterion
        What the number of groups was judged by.
    """

    label: Int64[Tensor, "particles"]
    center: Float[Tensor, "clusters latent"]
    group: Int64[Tensor, "particles"]
    suggested: bool
    criterion: tuple[Criterion, ...]

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
    group, criterion = _find_groups(values, seed)
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
        criterion=criterion,
    )


def _find_groups(
    values: Float[np.ndarray, "particles latent"], seed: int
) -> tuple[Int64[np.ndarray, "particles"], tuple[Criterion, ...]]:
    """Groups of mixture components between which the density does not drop to half.

    The mixture itself has as many components as the information criterion wants. For a bent
    cloud these are many, and they tile it; it is one group all the same.
    """
    sample = _sample(values, seed)
    most = min(MOST_COMPONENTS, len(sample) // (10 * (values.shape[1] + 1)))
    spread = np.ptp(sample, axis=0).max()
    if most < 2 or spread <= 0:
        return np.zeros(len(values), dtype=np.int64), ()
    fits = [_fit_mixture(sample, components, seed) for components in range(1, most + 1)]
    bic = [fit.bic(sample) / len(sample) for fit in fits]
    best = fits[int(np.argmin(bic))]
    criterion = tuple(Criterion(k, float(value)) for k, value in enumerate(bic, start=1))
    group_of_component = _merge_components(best, sample)
    return group_of_component[best.predict(values)], criterion


def _merge_components(
    mixture: GaussianMixture, sample: Float[np.ndarray, "sample latent"]
) -> Int64[np.ndarray, "components"]:
    """Which components are joined by a path of particles along which the density stays high.

    The path leads from neighbour to neighbour, because the straight line between two components
    of a bent cloud leaves the cloud. Two densities must agree that there is a gap: that of the
    mixture, which ripples where Gaussians tile a cloud with sharp ends, and that of the nearest
    particles, which is rough.
    """
    assigned = mixture.predict(sample)
    smooth = mixture.score_samples(sample)
    present = np.unique(assigned)
    # The densest particle, because the mean of a bent component may lie beside the cloud.
    peak = np.array([np.where(assigned == k, smooth, -np.inf).argmax() for k in present])
    first, second = _neighbor_pairs(sample)
    bridge = mixture.score_samples((sample[first] + sample[second]) / 2)
    rough = _nearest_density(sample)
    joined = _joined_peaks(smooth, bridge, (first, second), peak)
    joined |= _joined_peaks(rough, np.minimum(rough[first], rough[second]), (first, second), peak)
    _, group = connected_components(joined, directed=False)
    size = np.bincount(assigned, minlength=mixture.n_components)[present]
    merged = np.zeros(mixture.n_components, dtype=np.int64)
    merged[present] = _without_small_groups(group.astype(np.int64), sample[peak], size)
    return merged


def _joined_peaks(
    density: Float[np.ndarray, "sample"],
    bridge: Float[np.ndarray, "pairs"],
    pairs: tuple[Int64[np.ndarray, "pairs"], Int64[np.ndarray, "pairs"]],
    peak: Int64[np.ndarray, "peaks"],
) -> Bool[np.ndarray, "peaks peaks"]:
    """Whether a way from each peak to each higher one stays above its height less the gap.

    `density` of the particles and `bridge` between neighbours are logarithms.
    """
    gap = math.log(GAP * min(1.0, math.sqrt(len(density) / SURE_FROM)))
    joined = np.zeros((len(peak), len(peak)), dtype=bool)
    for i, top in enumerate(density[peak]):
        passable = bridge > top + gap
        ends = (pairs[0][passable], pairs[1][passable])
        graph = coo_matrix((np.ones(len(ends[0])), ends), shape=(len(density), len(density)))
        region = connected_components(graph, directed=False)[1][peak]
        joined[i] = (region == region[i]) & (density[peak] >= top)
    return joined


def _nearest_density(sample: Float[np.ndarray, "sample latent"]) -> Float[np.ndarray, "sample"]:
    """Logarithm, up to a constant, of the density of the nearest two percent."""
    nearest = min(max(20, len(sample) // 50), 100, len(sample) - 1)
    reach = cKDTree(sample).query(sample, k=[nearest + 1])[0][:, 0]
    density: np.ndarray = -sample.shape[1] * np.log(reach + 1e-12 * np.ptp(sample))
    return density


def _neighbor_pairs(
    sample: Float[np.ndarray, "sample latent"],
) -> tuple[Int64[np.ndarray, "pairs"], Int64[np.ndarray, "pairs"]]:
    # With ten, a line of many particles falls apart by chance.
    neighbors = min(20, len(sample) - 1)
    _, near = cKDTree(sample).query(sample, k=neighbors + 1)
    return np.repeat(np.arange(len(sample)), neighbors), near[:, 1:].ravel().astype(np.int64)


def _without_small_groups(
    group: Int64[np.ndarray, "components"],
    peak: Float[np.ndarray, "components latent"],
    size: Int64[np.ndarray, "components"],
) -> Int64[np.ndarray, "components"]:
    """Groups of a few stray particles joined to the nearest real one."""
    total = np.bincount(group, weights=size)
    real = total[group] >= SMALLEST_GROUP * size.sum()
    merged = group.copy()
    for component in np.flatnonzero(~real):
        distance = np.linalg.norm(peak - peak[component], axis=1)
        merged[component] = group[np.argmin(np.where(real, distance, np.inf))]
    relabeled: np.ndarray = np.unique(merged, return_inverse=True)[1].astype(np.int64)
    return relabeled


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
        # More components than the data support need not converge; the criterion drops them.
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
