"""How well latents recover a known truth."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Complex128, Float, Int64
from scipy.stats import rankdata
from sklearn.mixture import GaussianMixture

from cryomix.errors import InputFileError
from cryomix.evaluation.neighborhoods import as_space, nearest_others, neighborhood_similarity
from cryomix.evaluation.truth import CLASS, COORDINATES

NEIGHBORS = 50
COMPARED_AT_MOST = 20_000  # particles in the neighbourhood similarity


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
    known = {name: np.asarray(truth[name]) for name in (*COORDINATES, CLASS) if name in truth}
    _require_matching(latent, known)
    values = latent.astype(np.float64)
    values = (values - values.mean(axis=0)) / max(float(values.std()), 1e-12)
    near = nearest_others(values, NEIGHBORS)

    scores: dict[str, float] = {}
    for name in (name for name in COORDINATES if name in known):
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
        space = as_space(known["t"].astype(np.float64), cyclic)[chosen]
        count = max(NEIGHBORS, len(chosen) // 50)
        scores["neighbourhood_similarity"] = neighborhood_similarity(space, values[chosen], count)
    return scores


def _require_matching(
    latent: Float[np.ndarray, "particles latent"], known: Mapping[str, np.ndarray]
) -> None:
    if not known:
        raise InputFileError(f"the truth must hold one of {', '.join((*COORDINATES, CLASS))}")
    for name, values in known.items():
        if values.shape != (len(latent),):
            raise InputFileError(
                f"the truth's {name} must hold one value for each of {len(latent)} latents, "
                f"got {values.shape}"
            )
    if len(latent) < 2 or not np.isfinite(latent).all():
        raise InputFileError("latents must be at least two finite rows")


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
