"""What a report says in words of separate groups: how many, and what differs between them."""

import torch
from jaxtyping import Float
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.flow import follow_density, largest_moving_group
from cryomix.report.content import ReportContent
from cryomix.report.findings import Finding, count_in_words

_WORTH_TELLING = 0.03  # share of the density
_FAR = 3.0  # Å
_LARGE = 0.1  # of the mass; what a motion that all groups share leaves over is smaller
_NEIGHBORHOOD = 0.5  # of the density that differs lies within what is called a place


def summarize_groups(content: ReportContent) -> list[Finding]:
    """How many groups there are, and what each has that the first has not."""
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
    findings = [Finding(text)]
    if groups > 1 and content.group_models is not None:
        findings += [
            Finding(compare_groups(content.group_models, other)) for other in range(1, groups)
        ]
    return findings


def compare_groups(models: GaussianModel, other: int) -> str:
    """What is lost, new or moved from the first of the groups' models to another."""
    pair = GaussianModel(
        *(part[[0, other]] for part in (models.center, models.amplitude, models.width))
    )
    flow = follow_density(pair)
    lost = (1 - flow.kept[1]).clamp_min(0) * flow.mass[0]
    new = (1 - flow.membership[1].double().sum(dim=1)).clamp_min(0) * flow.mass[1]
    place = pair.center.double()[:, flow.index]
    told = [
        f"{100 * share:.0f} % of the density {what} around {_middle(place[step], mass)}"
        for what, share, mass, step in (
            ("is lost", flow.lost, lost, 0), ("is new", flow.new, new, 1)
        )
        if share > _WORTH_TELLING
    ]  # fmt: skip
    moving = largest_moving_group(pair, flow)
    if moving.end_to_end > _FAR and moving.mass > _LARGE:
        told.append(
            f"a part that holds {100 * moving.mass:.0f} % of the mass lies "
            f"{moving.end_to_end:.1f} Å further on"
        )
    start = f"From group 1 to group {other + 1}, in the middle of each, "
    if not told:
        return (
            start
            + "less than 3 % of the density comes or goes, and no tenth of the mass moves by 3 Å."
        )
    return start + " and ".join(told) + "."


def _middle(place: Float[Tensor, "followed 3"], mass: Float[Tensor, "followed"]) -> str:
    """Where the densest half of some density is, from the middle of the box."""
    heaviest = mass.argsort(descending=True)
    reached = mass[heaviest].cumsum(0) <= _NEIGHBORHOOD * mass.sum()
    chosen = heaviest[: int(reached.sum()) + 1]
    weight = mass[chosen] / mass[chosen].sum().clamp_min(1e-30)
    middle = (place[chosen] * weight[:, None]).sum(dim=0)
    told = ", ".join(f"{value:.0f}".replace("-", "\N{MINUS SIGN}") for value in middle.tolist())
    return f"({told}) Å from the middle of the box"
