"""Scores against a known truth, as rows of a table with what each of them means."""

from collections.abc import Mapping
from dataclasses import dataclass

_MEANINGS = {
    "_knn_R": "correlation of the truth with its mean over the 50 nearest particles",
    "_spearman": "rank correlation of the truth with the best principal axis",
    "_cos": "mean cosine of the angle to the mean direction of the 50 nearest particles",
    "_knn_accuracy": "share of particles whose 50 nearest are mostly of their class",
    "_mixture_purity": "share of particles of the main class of their part of a mixture",
    "neighbourhood_similarity": "share of the nearest in truth that are among the nearest here",
    "coverage_1": "share of truths within one standard deviation; 0.683 is right",
    "coverage_2": "share of truths within two; 0.954 is right",
    "error_in_std": "typical error over its standard deviation",
    "uninformative_share": "share of particles said to see nothing of the motion",
    "uninformative_error_ratio": "their mean error over that of the rest; above 1 is right",
    "imbalance_truth_latent": "information imbalance: 0 where the truth tells the latent",
    "imbalance_latent_truth": "0 where the latent tells the truth",
    "imbalance_pose_latent": "leak: 1 where the pose tells nothing of the latent",
    "imbalance_latent_pose": "leak: 1 where the latent tells nothing of the pose",
    "imbalance_ctf_latent": "leak: 1 where the CTF tells nothing of the latent",
    "imbalance_latent_ctf": "leak: 1 where the latent tells nothing of the CTF",
    "limit_particles": "particles, at random, of which the limit was found",
    "fsc_auc_maximum": "area under the FSC of a map with itself",
    "fsc_auc_conformation": "area under the FSC with the true state, one map per state",
    "fsc_auc_conformation_median": "their median",
    "fsc_auc_conformation_share": "share of the way from the consensus to the true states",
    "fsc_auc_image": "the area of one map per image",
    "fsc_auc_image_median": "their median",
    "fsc_auc_image_share": "share of the way from the consensus to the true states",
    "fsc_auc_neutral": "the area of the neutral model",
    "fsc_auc_consensus": "bound: the area of the map of all particles",
    "fsc_auc_true_states": "bound: true states and poses, neighbouring states joined",
    "fsc_auc_true_states_alone": "true states and poses, each state by itself",
    "true_states_together": "states that were joined in one map, weighted",
}

_SPREADS = ("_std", "_error")


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score as it is printed."""

    name: str
    value: str
    meaning: str


def list_scores(scores: Mapping[str, float]) -> list[ScoreRow]:
    """One row per score; a spread or an error stands beside what it belongs to."""
    beside = {name + ending for name in scores for ending in _SPREADS}
    return [
        ScoreRow(name, _print(name, scores), describe_score(name))
        for name in scores
        if name not in beside
    ]


def describe_score(name: str) -> str:
    """What a score of a recovered coordinate means; empty for one that is not known."""
    meaning = next((text for ending, text in _MEANINGS.items() if name.endswith(ending)), "")
    return f"limit: {meaning}" if meaning and name.startswith("limit_t") else meaning


def _print(name: str, scores: Mapping[str, float]) -> str:
    value = scores[name]
    text = f"{value:.0f}" if value >= 2 and value == round(value) else f"{value:.4f}"
    spread = [scores[name + ending] for ending in _SPREADS if name + ending in scores]
    return f"{text} ± {spread[0]:.4f}" if spread else text
