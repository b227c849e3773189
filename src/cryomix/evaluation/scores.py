"""How well latents and maps recover a known truth."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Complex128, Float, Int64
from scipy.spatial import cKDTree
from scipy.stats import rankdata
from sklearn.mixture import GaussianMixture

from cryomix.errors import InputFileError
from cryomix.imaging.volume import Volume

NEIGHBORS = 50
COMPARED_AT_MOST = 20_000  # particles in the neighbourhood similarity
LINEAR = ("t", "a", "b")  # coordinates of a motion
CLASS = "c"


def score_latents(
    latent: Float[np.ndarray, "particles latent"], truth: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Recovery of each true coordinate from the latents.

    Parameters
    ----------
    latent
        One row per particle.
    truth
        Arrays with one value per particle: ``t``, ``a`` and ``b`` are coordinates of motions
        from 0 to 1, ``c`` is a class. If ``cyclic`` is there and true, 0 and 1 are the same state.

    Returns
    -------
    scores
        For a coordinate t, with the 50 nearest neighbours in the latent space:
        ``t_knn_R``, the correlation of the truth with the neighbours' mean;
        ``t_spearman``, the largest rank correlation of the truth with a principal component;
        or, if cyclic, ``t_cos``, the mean cosine of the angle to the neighbours' mean direction.
        For a class, ``c_knn_accuracy``, the share of particles whose neighbours' majority is of
        their class, and ``c_mixture_purity``, the share that is of the majority's class within
        its part of a Gaussian mixture with as many parts as classes.
        ``neighbourhood_similarity``, the share of the 2 % nearest in t (at least 50) that are
        among as many nearest in the latent space (of 20,000 particles, where there are more).

    Raises
    ------
    InputFileError
        If latents and truth are of different length, or no latent or truth is finite.
    """
    cyclic = bool(np.all(truth["cyclic"])) if "cyclic" in truth else False
    known = {name: np.asarray(truth[name]) for name in (*LINEAR, CLASS) if name in truth}
    _require_matching(latent, known)
    values = latent.astype(np.float64)
    values = (values - values.mean(axis=0)) / max(float(values.std()), 1e-12)
    near = _neighbors(values, NEIGHBORS)

    scores: dict[str, float] = {}
    for name in (name for name in LINEAR if name in known):
        coordinate = known[name].astype(np.float64)
        if cyclic:
            scores[f"{name}_cos"] = _mean_cosine(coordinate, near)
        else:
            scores[f"{name}_knn_R"] = _correlation(coordinate[near].mean(axis=1), coordinate)
            scores[f"{name}_spearman"] = _best_rank_correlation(values, coordinate)
    if CLASS in known:
        _, label = np.unique(known[CLASS], return_inverse=True)
        scores["c_knn_accuracy"] = _majority_accuracy(label, near)
        scores["c_mixture_purity"] = _mixture_purity(values, label)
    if "t" in known:
        chosen = np.random.default_rng(0).permutation(len(values))[:COMPARED_AT_MOST]
        space = _as_space(known["t"].astype(np.float64), cyclic)[chosen]
        count = max(NEIGHBORS, len(chosen) // 50)
        scores["neighbourhood_similarity"] = neighborhood_similarity(space, values[chosen], count)
    return scores


def neighborhood_similarity(
    first: Float[np.ndarray, "particles a"],
    second: Float[np.ndarray, "particles b"],
    count: int,
) -> float:
    """Share of the `count` nearest in one space that are among as many nearest in the other."""
    count = min(count, len(first) - 1)
    rows = np.arange(len(first))[:, None] * len(first)
    # One number per pair of particles, so that all the sets are compared at once.
    pairs = (rows + _neighbors(space, count) for space in (first, second))
    return float(np.isin(*pairs).mean())


def information_imbalance(
    first: Float[np.ndarray, "particles a"],
    second: Float[np.ndarray, "particles b"],
    *,
    neighbors: int = 30,
    sample: int = 2000,
    seed: int = 0,
) -> float:
    """How little closeness in the first space says of the second: 0 all, 1 nothing.

    Twice the mean rank in the second space of the nearest in the first, over the number of
    particles; mean over the 1 to `neighbors` nearest, of at most `sample` different particles.
    With poses or CTF as the first space and latents as the second it should be 1; else the
    latents hold what is no property of the molecule.
    """
    chosen = np.unique(first, axis=0, return_index=True)[1]
    chosen = np.random.default_rng(seed).permutation(chosen)[:sample]
    count = len(chosen)
    if count <= neighbors:
        raise ValueError(f"{neighbors} neighbours of {count} different particles")
    near = _neighbors(first[chosen], neighbors)
    offset = second[chosen][:, None] - second[chosen][None]
    distance = np.linalg.norm(offset, axis=2)
    np.fill_diagonal(distance, -1)  # the particle itself has rank 0
    rank = rankdata(distance, axis=1) - 1
    return float(2 / count * np.take_along_axis(rank, near, axis=1).mean())


def fsc_auc(first: Volume, second: Volume) -> float:
    """Area under the Fourier shell correlation over 0 to Nyquist, in cycles per voxel.

    The definition of CryoBench: point i holds the shell of radii from i − 1 to below i Fourier
    voxels, point 0 is 1, values are clipped to [0, 1] and the last point is at n / 2 − 1. Two
    equal maps of 128³ have 0.4921875, and noise has about 0.004.
    """
    n = first.box_size
    if second.box_size != n:
        raise ValueError(f"boxes of {n} and {second.box_size} cannot be compared")
    a, b = _transform(first), _transform(second)
    axis = np.fft.fftfreq(n) * n
    squared = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2
    # Whole numbers have exact roots, so that the lower edge belongs to its shell.
    shell = np.floor(np.sqrt(squared)).astype(np.int64).ravel() + 1

    def total(power: Float[np.ndarray, "n n n"]) -> Float[np.ndarray, "shells"]:
        return np.bincount(shell, weights=power.ravel())[: n // 2]

    scale = np.sqrt(total(np.abs(a) ** 2) * total(np.abs(b) ** 2))
    cross = total((a * b.conj()).real)
    curve = np.where(scale > 0, cross / np.where(scale > 0, scale, 1), 1.0)
    curve[0] = 1
    return float(np.trapezoid(np.clip(curve, 0, 1), np.arange(n // 2) / n))


def _require_matching(
    latent: Float[np.ndarray, "particles latent"], known: Mapping[str, np.ndarray]
) -> None:
    if not known:
        raise InputFileError(f"the truth must hold one of {', '.join((*LINEAR, CLASS))}")
    for name, values in known.items():
        if values.shape != (len(latent),):
            raise InputFileError(
                f"the truth's {name} must hold one value for each of {len(latent)} latents, "
                f"got {values.shape}"
            )
    if len(latent) < 2 or not np.isfinite(latent).all():
        raise InputFileError("latents must be at least two finite rows")


def _neighbors(
    space: Float[np.ndarray, "particles axes"], count: int
) -> Int64[np.ndarray, "particles count"]:
    """The `count` nearest of each particle, without itself."""
    count = min(count, len(space) - 1)
    _, near = cKDTree(space).query(space, k=list(range(2, count + 2)))
    return near.astype(np.int64)


def _correlation(
    first: Float[np.ndarray, "particles"], second: Float[np.ndarray, "particles"]
) -> float:
    """Pearson's; 0 where one of them does not vary, because nothing was recovered then."""
    if first.std() < 1e-12 or second.std() < 1e-12:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _best_rank_correlation(
    values: Float[np.ndarray, "particles latent"], coordinate: Float[np.ndarray, "particles"]
) -> float:
    _, _, axes = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    rank = rankdata(coordinate)
    return max(abs(_correlation(rankdata(component), rank)) for component in axes @ values.T)


def _mean_cosine(
    coordinate: Float[np.ndarray, "particles"], near: Int64[np.ndarray, "particles count"]
) -> float:
    direction: Complex128[np.ndarray, "particles"] = np.exp(2j * np.pi * coordinate)
    mean = direction[near].mean(axis=1)
    unit = mean / np.maximum(np.abs(mean), 1e-12)
    return float((unit * direction.conj()).real.mean())


def _majority_accuracy(
    label: Int64[np.ndarray, "particles"], near: Int64[np.ndarray, "particles count"]
) -> float:
    votes = np.stack([(label[near] == name).sum(axis=1) for name in np.unique(label)], axis=1)
    return float((votes.argmax(axis=1) == label).mean())


def _mixture_purity(
    values: Float[np.ndarray, "particles latent"], label: Int64[np.ndarray, "particles"]
) -> float:
    classes = len(np.unique(label))
    part = GaussianMixture(classes, n_init=5, random_state=0).fit_predict(values)
    return float(sum(np.bincount(label[part == name]).max() for name in np.unique(part))) / len(
        label
    )


def _as_space(
    coordinate: Float[np.ndarray, "particles"], cyclic: bool
) -> Float[np.ndarray, "particles axes"]:
    """A line or a circle; a trace of noise breaks the ties between particles of one state."""
    if cyclic:
        angle = 2 * np.pi * coordinate
        space = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        space = coordinate[:, None]
    return space + 1e-6 * np.random.default_rng(0).normal(size=space.shape)


def _transform(volume: Volume) -> Complex128[np.ndarray, "n n n"]:
    density: np.ndarray = volume.density.detach().to(torch.float64).cpu().numpy()
    return np.fft.fftn(density)
