"""A few latents that stand for all, and posteriors that are spread over several of them."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor

_COUNT = 24
_SAMPLE = 10_000
_ROUNDS = 30  # of expectation maximisation


@dataclass(frozen=True, slots=True)
class Representatives:
    """Means of clusters of latents.

    Attributes
    ----------
    latent
        The means.
    share
        Of the particles at each, summing to 1.
    square_distance
        Mean over the particles to the nearest.
    """

    latent: Float[Tensor, "representatives latent"]
    share: Float[Tensor, "representatives"]
    square_distance: Float[Tensor, ""]

    def to(self, device: torch.device) -> "Representatives":
        """The same on `device`."""
        return Representatives(
            self.latent.to(device), self.share.to(device), self.square_distance.to(device)
        )

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """All of it."""
        return self.latent, self.share, self.square_distance


@dataclass(frozen=True, slots=True)
class Spread:
    """A posterior as seen from the representatives.

    Attributes
    ----------
    mean, covariance
        Of the posterior over the representatives, each with the particles about it.
    trust
        From 0, the peak describes the posterior better, to 1, the representatives do.
    """

    mean: Float[Tensor, "batch latent"]
    covariance: Float[Tensor, "batch latent latent"]
    trust: Float[Tensor, "batch"]


def find_representatives(estimate: Float[Tensor, "particles latent"]) -> Representatives:
    """Latents that between them are near every particle: means of k-means clusters.

    The share of each is that of the estimates nearest to it.
    """
    every = max(1, len(estimate) // _SAMPLE)
    sample = estimate[::every].cpu().numpy()
    fit = KMeans(min(_COUNT, len(sample)), n_init=1, random_state=0).fit(sample)
    share = torch.bincount(
        torch.from_numpy(fit.labels_).long(), minlength=len(fit.cluster_centers_)
    )
    latent = torch.from_numpy(fit.cluster_centers_).to(estimate)
    return Representatives(
        latent, (share / len(sample)).to(estimate), latent.new_tensor(fit.inertia_ / len(sample))
    )


def populate(
    representatives: Representatives, likelihood: Float[Tensor, "particles representatives"]
) -> Representatives:
    """The same, with the shares that make all images together the most likely.

    Estimates scatter by their errors, also to where no particle is: between two classes, or
    inside of a ring. There models explain the images badly, and expectation maximisation takes
    their share away. Stopped before shares become spikes.

    Parameters
    ----------
    representatives
        Their shares are where it starts.
    likelihood
        Logarithm, in nats, of every particle's image.
    """
    share = representatives.share.clamp_min(1e-12)
    for _ in range(_ROUNDS):
        share = (likelihood + share.log()).softmax(dim=1).mean(0).clamp_min(1e-12)
    return replace(representatives, share=share)


def information(
    representatives: Representatives, likelihood: Float[Tensor, "batch representatives"]
) -> Float[Tensor, "batch"]:
    """What each image tells about its place among the representatives, in nats.

    The Kullback–Leibler divergence of its posterior from the shares of all particles: 0 if it
    leaves all places as probable as they were, the logarithm of n if it picks one in n.
    """
    prior = representatives.share.clamp_min(1e-12).log()
    posterior = (likelihood + prior).log_softmax(dim=1)
    return (posterior.exp() * (posterior - prior)).sum(1)


def spread_over(
    representatives: Representatives,
    likelihood: Float[Tensor, "batch representatives"],
    covariance: Float[Tensor, "batch latent latent"],
) -> Spread:
    """Where posteriors lie that the `covariance` around their peak may not describe.

    An image that leaves several distant latents possible, or a whole arc of them, has a posterior
    that no normal distribution around its peak describes; its mean is the better estimate, and
    its covariance the honest error. It is trusted where it reaches over once to twice the
    variance that the peak and the distance between representatives explain. It is trusted as
    well where the peak is wide along every axis, its variance once to twice that of the particles
    about their representative: so many then take part that they show a shape that a normal
    distribution has not. `likelihood` is the logarithm, in nats.
    """
    weight = (likelihood + representatives.share.clamp_min(1e-12).log()).softmax(dim=1)
    mean = weight @ representatives.latent
    offset = representatives.latent - mean[:, None]
    between = torch.einsum("br,bri,brj->bij", weight, offset, offset)
    expected = _trace(covariance) + representatives.square_distance
    excess = _trace(between) / expected.clamp_min(1e-12) - 1
    within = representatives.square_distance / covariance.shape[-1]  # along each axis
    resolved = torch.linalg.eigvalsh(covariance)[:, 0] / within.clamp_min(1e-12) - 1
    whole = between + within * torch.eye(covariance.shape[-1]).to(between)
    return Spread(mean, whole, torch.maximum(excess, resolved).clamp(0, 1))


def _trace(matrix: Float[Tensor, "batch n n"]) -> Float[Tensor, "batch"]:
    return matrix.diagonal(dim1=1, dim2=2).sum(1)
