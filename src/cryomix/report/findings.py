"""What a report says in words: what was found, and what stays unseen."""

from dataclasses import dataclass

import torch

from cryomix.latent.flow import DensityFlow, MovingGroup, follow_density, largest_moving_group
from cryomix.report.content import DecodedPath, ReportContent

_COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_SCORES = {
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
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One statement.

    Attributes
    ----------
    text
        A sentence or two.
    tone
        ``good``, ``plain`` or ``bad``: whether it speaks for the results, or against them.
    """

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class PathMotion:
    """A path with what was found to move along it."""

    path: DecodedPath
    flow: DensityFlow
    group: MovingGroup


@dataclass(frozen=True, slots=True)
class KeyNumber:
    """A number that stands for the whole."""

    value: str
    meaning: str


def find_motion(path: DecodedPath) -> PathMotion:
    """Follow the density along a path."""
    flow = follow_density(path.models)
    return PathMotion(path, flow, largest_moving_group(path.models, flow))


def summarize(content: ReportContent, motions: list[PathMotion]) -> list[Finding]:
    """What was found; `motions` are those of the content's paths."""
    return [
        *_about_groups(content),
        *_about_axes(content),
        *_about_motion(motions),
        *_about_maps(content),
    ]


def list_limits(content: ReportContent) -> list[Finding]:
    """What these data cannot show; the user's own warnings first."""
    limits = [Finding(text, "bad") for text in content.warnings]
    if content.clusters is not None:
        limits.append(
            Finding(
                "Cluster sizes count particles by their most likely place. They are not "
                "populations: noise moves particles across every border."
            )
        )
    if content.populations is not None:
        unit = content.populations.unit
        limits.append(
            Finding(
                f"The free energy is that of a density per {'Å' if unit == 'Å' else 'latent unit'} "
                "of this path; another measure of length would give another one. It is that of the "
                "molecule only if the particles on the grid were in equilibrium, picked without "
                "regard to their state, and if the errors of the latents are right. Its intervals "
                "hold the chance of sampling, not mistakes of the model."
            )
        )
    if content.umap is not None:
        limits.append(
            Finding(
                "In the UMAP only neighbourhoods mean something. Distances between groups, "
                "their sizes and shapes do not."
            )
        )
    if content.paths:
        limits.append(
            Finding(
                "The motion shown is the model's, read from how its density goes from step to "
                "step. What the particles confirm is what also changes between their maps. A "
                "part that slides along another seems to go less far than it does."
            )
        )
    if content.latent_map is not None:
        limits.append(
            Finding(
                "A motion along the line of sight changes an image little. A particle seen that "
                "way stays near the middle of the latent space, with a large uncertainty."
            )
        )
    return limits


def list_key_numbers(content: ReportContent, motions: list[PathMotion]) -> list[KeyNumber]:
    """A few numbers for the head of the page."""
    numbers = []
    if content.facts is not None:
        numbers.append(KeyNumber(f"{content.facts.particles:,}", "particles"))
        if content.facts.gaussians is not None:
            numbers.append(KeyNumber(f"{content.facts.gaussians:,}", "Gaussians"))
        if content.facts.resolution is not None:
            numbers.append(KeyNumber(f"{content.facts.resolution:.1f} Å", "finest detail compared"))
    if content.clusters is not None:
        groups = content.clusters.groups
        meaning = "continuous group" if groups == 1 else "separate groups"
        numbers.append(KeyNumber(str(groups), meaning))
    if motions:
        moved = motions[0].group.path_length
        numbers.append(KeyNumber(f"{moved:.1f} Å", "way of the largest moving part"))
    resolutions = [m.resolution for m in content.cluster_maps if m.resolution is not None]
    if resolutions:
        numbers.append(KeyNumber(f"{min(resolutions):.1f} Å", "best map of a cluster"))
    return numbers


def describe_motion(motion: PathMotion) -> str:
    """What moves, and what comes and goes, along a path."""
    group = motion.group
    words = (
        f"The largest part that moves together holds {100 * group.mass:.0f} % of the mass. "
        f"Its centre travels {group.path_length:.1f} Å"
    )
    if motion.path.is_closed:
        back = float((group.center[-1] - group.center[0]).norm())
        words += f", and {back:.1f} Å more lead back to where it began."
    elif group.end_to_end < 0.9 * group.path_length:
        words += f" on a bent path whose ends are {group.end_to_end:.1f} Å apart."
    else:
        words += "."
    changes = (("is lost", motion.flow.lost), ("is new", motion.flow.new))
    told = [f"{100 * share:.0f} % of the density {what}" for what, share in changes if share > 0.03]
    if told:
        words += f" Along the way {' and '.join(told)} rather than moved."
    return words


def describe_score(name: str) -> str:
    """What a score of a recovered coordinate means; empty for one that is not known."""
    return next((text for ending, text in _SCORES.items() if name.endswith(ending)), "")


def count_in_words(number: int) -> str:
    """A number as a word, where it is small."""
    return _COUNTED[number] if number < len(_COUNTED) else str(number)


def _about_groups(content: ReportContent) -> list[Finding]:
    if content.clusters is None:
        return []
    groups, clusters = content.clusters.groups, len(content.clusters)
    if groups == 1:
        text = "The particles form one continuous group: no gap of density divides them."
    else:
        size = torch.bincount(content.clusters.group).double()
        shares = ", ".join(f"{100 * part:.0f} %" for part in size / size.sum())
        text = f"The particles fall into {count_in_words(groups)} separate groups ({shares})."
    if clusters > groups:
        what = "It is" if groups == 1 else "They are"
        parts = count_in_words(clusters)
        text += f" {what} divided into {parts} clusters, so that maps can be compared."
    return [Finding(text)]


def _about_axes(content: ReportContent) -> list[Finding]:
    if content.pca is None or content.pca.explained_variance is None:
        return []
    variance = content.pca.explained_variance
    share = variance / variance.sum().clamp_min(1e-30)
    if len(share) == 1:
        return []
    needed = int((share.cumsum(0) < 0.9).sum()) + 1
    axes = "one axis holds" if needed == 1 else f"{count_in_words(needed)} axes hold"
    held = 100 * float(share[:needed].sum())
    return [Finding(f"Of the spread of the latents, {axes} {held:.0f} %.")]


def _about_motion(motions: list[PathMotion]) -> list[Finding]:
    return [
        Finding(f"{motion.path.name[:1].upper()}{motion.path.name[1:]}: {describe_motion(motion)}")
        for motion in motions[:1]
    ]


def _about_maps(content: ReportContent) -> list[Finding]:
    reached = [m.resolution for m in content.cluster_maps if m.resolution is not None]
    if not reached:
        return []
    low, high = min(reached), max(reached)
    span = f"{low:.1f} Å" if high - low < 0.05 else f"{low:.1f} to {high:.1f} Å"
    return [Finding(f"Maps rebuilt from the clusters' own particles reach {span} (FSC 0.143).")]
