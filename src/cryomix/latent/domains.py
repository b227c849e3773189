"""Parts of a molecule that move as one, found from how distances between Gaussians change."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel

_EXPLAINED = 0.9  # of the squared changes of distance: so much lies between parts
_LEAST_MASS = 0.04  # of the whole: smaller parts are joined to the one they move with most
_LEAST_CHANGE = 0.15  # of the Gaussians' width: what changes less is not a motion to speak of
_MOST_PARTS = 12
_COMPARED_AT_MOST = 1500  # Gaussians; their distances are squares of this in memory


def find_domains(models: GaussianModel) -> Int64[Tensor, "gaussians"] | None:
    """Rigid parts: 0 is the heaviest, 1 the next, and on; None if the motion has no such parts.

    Parameters
    ----------
    models
        A sample of the conformations; some fifty are enough.

    Notes
    -----
    Within a rigid part no distance changes. Gaussians are joined, those first whose distances have
    the smallest standard deviation over `models` (average linkage), down to the fewest parts
    between which nine tenths of all squared deviations lie. There are none where distances change
    by less than 15 % of a Gaussian's width (root mean square). A part that moves further
    than its own size is not found: density is then passed on from Gaussian to Gaussian, not
    carried.
    """
    mass = (models.amplitude * models.width**3).double().mean(0)
    chosen = mass.argsort(descending=True)[:_COMPARED_AT_MOST].sort().values
    center, weight = models.center[:, chosen].double(), mass[chosen].numpy()
    change = _distance_deviation(center)
    pairs = np.outer(weight, weight)
    square = change**2 * pairs
    if square.sum() / pairs.sum() < (_LEAST_CHANGE * float(models.width.mean())) ** 2:
        return None
    for count in range(2, _MOST_PARTS + 1):
        tree = AgglomerativeClustering(count, metric="precomputed", linkage="average")
        label = _join_small(tree.fit_predict(change), weight, change)
        together = label[:, None] == label
        if 1 - square[together].sum() / max(square.sum(), 1e-30) >= _EXPLAINED:
            return _spread(_by_mass(label, weight), models.center.double().mean(0), chosen)
    return None


def _distance_deviation(
    center: Float[Tensor, "models gaussians 3"],
) -> Float[np.ndarray, "gaussians gaussians"]:
    """Standard deviation of each distance over the models, Å."""
    first = torch.cdist(center[0], center[0])
    total = square = torch.zeros_like(first)
    for one in center:
        offset = torch.cdist(one, one) - first
        total, square = total + offset, square + offset**2
    variance = square / len(center) - (total / len(center)) ** 2
    deviation: np.ndarray = variance.clamp_min(0).sqrt().numpy()
    return deviation


def _join_small(
    label: Int64[np.ndarray, "gaussians"],
    weight: Float[np.ndarray, "gaussians"],
    change: Float[np.ndarray, "gaussians gaussians"],
) -> Int64[np.ndarray, "gaussians"]:
    label = label.copy()
    while True:
        names = np.unique(label)
        mass = np.array([weight[label == name].sum() for name in names]) / weight.sum()
        if len(names) == 1 or mass.min() >= _LEAST_MASS:
            return label
        small = names[mass.argmin()]
        others = names[names != small]
        away = [change[np.ix_(label == small, label == name)].mean() for name in others]
        label[label == small] = others[int(np.argmin(away))]


def _by_mass(
    label: Int64[np.ndarray, "gaussians"], weight: Float[np.ndarray, "gaussians"]
) -> Int64[Tensor, "gaussians"]:
    names = np.unique(label)
    mass = [-weight[label == name].sum() for name in names]
    rank = np.empty(label.max() + 1, np.int64)
    rank[names[np.argsort(mass, kind="stable")]] = np.arange(len(names))
    return torch.from_numpy(rank[label])


def _spread(
    label: Int64[Tensor, "chosen"],
    center: Float[Tensor, "gaussians 3"],
    chosen: Int64[Tensor, "chosen"],
) -> Int64[Tensor, "gaussians"]:
    """Gaussians that were not compared belong where the nearest that was belongs."""
    return label[torch.cdist(center, center[chosen]).argmin(1)]
