"""What a report says in words: what was found, and what stays unseen."""

from dataclasses import dataclass

from cryomix.latent.flow import DensityFlow, MovingGroup, follow_density, largest_moving_group
from cryomix.report.content import DecodedPath, ReportContent

_ANOTHER = 0.3  # a part that shares less with those told is another one
_LARGE = 0.1  # of the mass
_FAR = 3.0  # Å
_COUNTED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


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
        back = _way_round(group) - group.path_length
        words += f", and {back:.1f} Å more lead back to where it began: a closed way of "
        words += f"{_way_round(group):.1f} Å."
    elif group.end_to_end < 0.9 * group.path_length:
        words += f" on a bent path whose ends are {group.end_to_end:.1f} Å apart."
    else:
        words += "."
    changes = (("is lost", motion.flow.lost), ("is new", motion.flow.new))
    told = [f"{100 * share:.0f} % of the density {what}" for what, share in changes if share > 0.03]
    if told:
        words += f" Along the way {' and '.join(told)} rather than moved."
    return words


def count_in_words(number: int) -> str:
    """A number as a word, where it is small."""
    return _COUNTED[number] if number < len(_COUNTED) else str(number)


def gain_by_noise(content: ReportContent) -> float | None:
    """What particles gain, in nats, by finding their latents in their own noise: half for each."""
    if content.facts is None or content.facts.latents is None:
        return None
    return content.facts.latents / 2 if content.score_unit.startswith("nats") else None


def lacks_variation(content: ReportContent) -> bool:
    """Whether particles kept out of the training gain no more than twice what noise gives."""
    if not content.history:
        return False
    gain = max(row.held_out for row in content.history)
    return gain <= 0 or gain < 2 * (gain_by_noise(content) or 0)


def tell_headline(content: ReportContent, motions: list[PathMotion]) -> str:
    """The whole in a sentence or two."""
    if lacks_variation(content):
        return "No variation has been shown."
    told = []
    groups = 1 if content.clusters is None else content.clusters.groups
    if groups > 1:
        told.append(f"{count_in_words(groups).capitalize()} separate groups of particles.")
    if motions:
        group = motions[0].group
        if motions[0].path.is_closed:
            how, way = "goes round a closed way of", _way_round(group)
        else:
            how, way = "travels", group.path_length
        where = "In the largest group," if groups > 1 else "One continuous group of particles:"
        share = f"{100 * group.mass:.0f} %"
        told.append(f"{where} a part that holds {share} of the mass {how} {way:.1f} Å.")
    return " ".join(told)


def warn_of_nothing(content: ReportContent) -> list[Finding]:
    """What stands before all findings where there are none."""
    if not lacks_variation(content):
        return []
    return [
        Finding(
            "No variation has been shown (see beside). Groups, motions and maps below are what "
            "noise looks like.", "bad",
        )
    ]  # fmt: skip


def _way_round(group: MovingGroup) -> float:
    return group.path_length + float((group.center[-1] - group.center[0]).norm())


def _about_axes(content: ReportContent) -> list[Finding]:
    if content.pca is None or content.pca.explained_variance is None:
        return []
    variance = content.pca.explained_variance
    share = variance / variance.sum().clamp_min(1e-30)
    if len(share) == 1:
        return []
    needed = int((share.cumsum(0) < 0.9).sum()) + 1
    if needed == len(share):
        return []
    axes = "one axis holds" if needed == 1 else f"{count_in_words(needed)} axes hold"
    held = 100 * float(share[:needed].sum())
    return [Finding(f"Of the spread of the latents, {axes} {held:.0f} %.")]


def _about_motion(motions: list[PathMotion]) -> list[Finding]:
    findings = [
        Finding(f"{motion.path.name[:1].upper()}{motion.path.name[1:]}: {describe_motion(motion)}")
        for motion in motions[:1]
    ]
    told = motions[:1]
    for motion in motions[1:]:
        group = motion.group
        is_new = all(_shared(motion, other) < _ANOTHER for other in told)
        if is_new and group.mass > _LARGE and group.path_length > _FAR:
            told.append(motion)
            text = (
                f"Another part moves {motion.path.name}: {100 * group.mass:.0f} % of the mass, "
                f"whose centre travels {group.path_length:.1f} Å."
            )
            findings.append(Finding(text))
    return findings


def _shared(motion: PathMotion, other: PathMotion) -> float:
    """How much of the part that moves along one path moves along another, too."""
    models = motion.path.models
    mass = (models.amplitude * models.width**3).mean(dim=0)
    own, others = motion.group.share.mean(dim=0), other.group.share.mean(dim=0)
    return float((mass * own.minimum(others)).sum() / (mass * own).sum().clamp_min(1e-30))


def _about_maps(content: ReportContent) -> list[Finding]:
    reached = [m.resolution for m in content.cluster_maps if m.resolution is not None]
    if not reached:
        return []
    low, high = min(reached), max(reached)
    span = f"{low:.1f} Å" if high - low < 0.05 else f"{low:.1f} to {high:.1f} Å"
    return [Finding(f"Maps rebuilt from the clusters' own particles reach {span} (FSC 0.143).")]
