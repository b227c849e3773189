"""How well a few states explain each image, from two sets of Fourier coefficients apart."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int64
from sklearn.cluster import KMeans
from torch import Tensor

from cryomix.fitting.coarse_view import coarse_view
from cryomix.fitting.score import Metric, score_projections
from cryomix.fitting.trained_model import TrainedModel
from cryomix.imaging.particles import Particles, make_batch
from cryomix.imaging.projection import project_gaussians

_STATES = 32
_BATCH = 64


@dataclass(frozen=True, slots=True)
class States:
    """Latents that stand for all particles of a model.

    Attributes
    ----------
    latent
        Means of parts of clusters; at least two parts for each cluster that can be divided.
    cluster
        Of each.
    share
        Of the particles that are nearest to it within its cluster.
    """

    latent: Float[Tensor, "states latent"]
    cluster: Int64[Tensor, "states"]
    share: Float[Tensor, "states"]


@dataclass(frozen=True, slots=True)
class StateScores:
    """Log-likelihoods, in nats, gained over an empty image.

    The two sets hold every second coefficient of the transform, like the fields of a
    chessboard. Noise is independent from coefficient to coefficient, so that what the two sets
    say alike of a particle is not its noise.

    Attributes
    ----------
    first, second, whole
        From either set, and from both.
    single
        Of the neutral model and of the mean of the states, from both.
    """

    first: Float[Tensor, "particles states"]
    second: Float[Tensor, "particles states"]
    whole: Float[Tensor, "particles states"]
    single: Float[Tensor, "particles 2"]


def find_states(
    latent: Float[Tensor, "particles latent"], cluster: Int64[Tensor, "particles"], seed: int
) -> States:
    """Some 32 latents, in each cluster as many as its size demands."""
    means, names, shares = [], [], []
    for name in cluster.unique().tolist():
        inside = latent[cluster == name]
        wanted = max(2, round(_STATES * len(inside) / len(latent)))
        count = min(wanted, len(inside.unique(dim=0)))
        fit = KMeans(count, n_init=1, random_state=seed).fit(inside.double().numpy())
        means.append(torch.from_numpy(fit.cluster_centers_).to(latent))
        size = torch.bincount(torch.from_numpy(fit.labels_).long(), minlength=count)
        shares.append(size / len(latent))
        names.append(torch.full((count,), name))
    return States(torch.cat(means), torch.cat(names), torch.cat(shares).to(latent))


@torch.no_grad()
def score_states(
    model: TrainedModel,
    particles: Particles,
    index: Int64[Tensor, "chosen"],
    states: States,
    report: Callable[[int, int], None],
) -> StateScores:
    """Score the models at `states`, and the neutral one, against the particles at `index`.

    Nothing is asked of the encoder, which may have learned images by heart. Large images are
    compared up to half of the frequencies, as in searches.
    """
    mean = (states.share / states.share.sum()) @ states.latent
    everything = torch.cat([torch.stack([torch.zeros_like(mean), mean]), states.latent])
    shown = model.decode(everything.to(model.device))
    parts = []
    for part in index.split(_BATCH):
        image = particles.images.read(part).to(model.device)
        batch = make_batch(particles, part, image, model.settings.grid)
        view, metric = coarse_view(batch, model.likelihood)
        metrics = (*split_metric(metric), metric)
        columns = []
        for row in range(len(everything)):
            projection = project_gaussians(shown[row], view.poses, metric.grid)
            columns.append(
                torch.stack([score_projections(projection, view, each) for each in metrics])
            )
        parts.append(torch.stack(columns, dim=2).cpu())
        report(sum(each.shape[1] for each in parts), len(index))
    scores = torch.cat(parts, dim=1)
    first, second, whole = scores[:, :, 2:]
    return StateScores(first, second, whole, single=scores[2, :, :2])


def split_metric(metric: Metric) -> tuple[Metric, Metric]:
    """The same score from every second coefficient, and from the others."""
    rows, columns = metric.weight.shape
    row = torch.arange(rows)
    # A coefficient and its mirror image are the same measurement, so they stay together.
    field = torch.minimum(row, rows - row)[:, None] + torch.arange(columns)
    is_white = (field % 2 == 0).to(metric.weight)
    return (
        replace(metric, weight=metric.weight * is_white),
        replace(metric, weight=metric.weight * (1 - is_white)),
    )
