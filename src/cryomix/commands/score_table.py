"""The scores of an evaluation as a table for people to read."""

import re
from collections.abc import Mapping

_SECTIONS: Mapping[str, Mapping[str, str]] = {
    "latents": {
        "t_knn_R": "correlation of the motion with that of neighbours in the latent space",
        "t_spearman": "rank correlation of the motion with a principal component",
        "t_cos": "mean cosine of the angle round the cycle",
        "c_knn_accuracy": "share of particles among neighbours of their own class",
        "c_mixture_purity": "share of particles in the mixture part of their own class",
        "neighbourhood_similarity": "share of true neighbours that are latent neighbours",
    },
    "information limit: true states, poses, CTF and noise known": {
        "limit_t_knn_R": "the most that t_knn_R can be",
        "limit_t_cos": "the most that t_cos can be",
        "limit_t_cos_mode": "the same of the most probable state",
        "limit_c_knn_accuracy": "the most that c_knn_accuracy can be",
        "limit_particles": "particles, at random, of which this was found",
    },
    "maps: area under the FSC with the true state, inside a mask": {
        "fsc_auc_conformation": "one map per true state",
        "fsc_auc_conformation_median": "their median",
        "fsc_auc_image": "one map per image, of 100",
        "fsc_auc_image_median": "their median",
        "fsc_auc_neutral": "the neutral model, decoded like the rest",
        "fsc_auc_consensus": "bound: the map of all particles",
        "fsc_auc_true_states": "bound: true states and poses, neighbouring states joined",
        "true_states_together": "states that were joined in one map, weighted",
        "fsc_auc_true_states_alone": "true states and poses, each state by itself",
        "fsc_auc_conformation_share": "share of the way from the consensus to the true states",
        "fsc_auc_image_share": "the same, per image",
        "fsc_auc_maximum": "a map with itself",
    },
    "neighbourhoods: share of the k nearest in truth among the k nearest latents": {
        "neighbourhood_k": "of every fifth particle",
    },
    "information imbalance: 0 tells all, 1 tells nothing": {
        "imbalance_truth_latent": "what the true motion tells of the latent",
        "imbalance_latent_truth": "what the latent tells of the true motion",
        "imbalance_pose_latent": "leak: what the pose tells of the latent, should be 1",
        "imbalance_latent_pose": "leak: what the latent tells of the pose, should be 1",
        "imbalance_ctf_latent": "leak: what the CTF tells of the latent, should be 1",
        "imbalance_latent_ctf": "leak: what the latent tells of the CTF, should be 1",
    },
    "error bars": {
        "coverage_1": "share of truths within one standard deviation, should be 0.683",
        "coverage_2": "share of truths within two, should be 0.954",
        "error_in_std": "typical error over standard deviation, should be 1",
        "uninformative_share": "share of particles said to see nothing of the motion",
        "uninformative_error_ratio": "their mean error over that of the rest",
    },
}
_SPREAD, _ERROR = "_std", "_error"


def tabulate(scores: Mapping[str, float]) -> str:
    """One line per score with what it means, in sections; scores of no section come last."""
    # A spread belongs on the line of its mean, and is no score by itself.
    beside = {name + suffix for name in scores for suffix in (_SPREAD, _ERROR)}
    shown = [name for name in scores if name not in beside]
    width = max(len(name) for name in shown)
    lines: list[str] = []
    for title, meanings in _SECTIONS.items():
        names = [name for known in meanings for name in shown if _is(name, known)]
        if names:
            lines += ["", title] if lines else [title]
            lines += [_line(name, scores, meanings, width) for name in names]
        shown = [name for name in shown if name not in names]
    return "\n".join([*lines, *(_line(name, scores, {}, width) for name in shown)])


def _is(name: str, known: str) -> bool:
    # Of two motions at once, a and b, each has the scores that a single one, t, has.
    name = re.sub(r"^(limit_)?[ab]_", r"\1t_", name)
    return name == known or (known.endswith("_k") and name.removeprefix(known).isdigit())


def _line(name: str, scores: Mapping[str, float], meanings: Mapping[str, str], width: int) -> str:
    value = scores[name]
    number = (
        f"{value:.0f}" if name in ("limit_particles", "true_states_together") else f"{value:.4f}"
    )
    spread = scores.get(name + _SPREAD, scores.get(name + _ERROR))
    around = "" if spread is None else f"± {spread:.4f}"
    meaning = next((text for known, text in meanings.items() if _is(name, known)), "")
    return f"  {name:{width}}  {number:>7} {around:8}  {meaning}".rstrip()
