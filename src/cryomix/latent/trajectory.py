"""Paths through the latent space: along an axis, along the particles themselves, or round a loop.

An axis is the choice where the cloud of particles is straight, and what one can say in a word. A
motion often bends the cloud into an arc; then points of a straight axis lie where no particle is
and decode to states that nobody saw, and the path along the particles is the better one.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.sparse import coo_matrix, csr_matrix, identity
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.latent.reduction import Embedding, fit_pca

SORTED_AT_MOST = 5_000  # particles in the graph that gives their order along a curve
_STRETCHES_ROUND = 15
_OPEN = 0.17  # of an even share of the particles; with fewer in a stretch the way round is open


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A path in latent space.

    Attributes
    ----------
    latent
        Its points, in order.
    position
        Length of the path up to each point, in latent units.
    """

    latent: Float[Tensor, "steps latent"]
    position: Float[Tensor, "steps"]

    def __len__(self) -> int:
        return len(self.latent)


def straight(
    start: Float[Tensor, "latent"], end: Float[Tensor, "latent"], steps: int
) -> Trajectory:
    """The straight line from `start` to `end`, both included."""
    fraction = torch.linspace(0, 1, _checked(steps)).to(start)
    return through(start + fraction[:, None] * (end - start))


def along_principal_axis(
    pca: Embedding,
    component: int,
    steps: int,
    percentiles: tuple[float, float] = (2.5, 97.5),
) -> Trajectory:
    """A straight line along one principal axis, between two percentiles of the particles.

    The other components stay at their median.
    """
    if not 0 <= component < pca.point.shape[1]:
        raise ValueError(f"component {component} of a PCA with {pca.point.shape[1]} axes")
    point = pca.point.median(dim=0).values.repeat(_checked(steps), 1)
    low, high = np.percentile(pca.point[:, component].numpy(), percentiles)
    point[:, component] = torch.linspace(float(low), float(high), steps)
    return through(pca.to_latent(point))


def along_principal_curve(latent: Float[Tensor, "particles latent"], steps: int) -> Trajectory:
    """The path through the middle of the particles, from one end of the cloud to the other.

    Particles are put in order by the slowest mode of diffusion between neighbours, which follows
    a bent cloud where the first principal component would fold it. Each point is a mean of
    particles that are next to each other in that order, so that it lies where particles are;
    points are equally far apart along the path. Where the cloud falls apart into groups, the
    path runs through the largest.
    """
    values = latent.detach().cpu().double()
    ordered = values[_order_along(values)]
    path = evenly_spaced(_running_means(ordered, closed=False), _checked(steps))
    return through(path.to(latent))


def around_loop(latent: Float[Tensor, "particles latent"], steps: int) -> Trajectory:
    """The closed path round a ring of particles; the last point is one step before the first.

    Particles are put in order by their angle about the middle of the ring in the plane of the
    first two principal components; each point is a mean of neighbours in that order.
    """
    values = latent.detach().cpu().double()
    x, y = _loop_plane(values).unbind(dim=1)
    ordered = values[torch.atan2(y, x).argsort()]
    path = evenly_spaced(_running_means(ordered, closed=True), _checked(steps) + 1)
    return through(path[:-1].to(latent))


def is_loop(latent: Float[Tensor, "particles latent"]) -> bool:
    """Whether the particles form a ring: none in the middle and no gap on the way round.

    A line that is bent in more than two dimensions looks like a ring in a plane; so the way round
    is walked among the latents themselves.
    """
    if latent.shape[1] < 2 or len(latent) < 100:
        return False
    x, y = _loop_plane(latent.detach().cpu().double()).unbind(dim=1)
    radius = torch.hypot(x, y)
    hole = float((radius < 0.4 * radius.median()).double().mean())
    sector = ((torch.atan2(y, x) / (2 * math.pi) + 0.5) * 24).long().clamp(0, 23)
    emptiest = float(torch.bincount(sector, minlength=24).min()) / len(latent)
    # A disk has 8 % of its particles inside 0.4 of the median radius, a Gaussian cloud 10 %.
    if hole >= 0.03 or emptiest <= 0.2 / 24:
        return False
    way = around_loop(latent.detach().cpu(), _STRETCHES_ROUND).latent.double()
    near = torch.cdist(latent.detach().cpu().double(), way).argmin(dim=1)
    fewest = int(torch.bincount(near, minlength=_STRETCHES_ROUND).min())
    return fewest > _OPEN * len(latent) / _STRETCHES_ROUND


def evenly_spaced(
    path: Float[Tensor, "points latent"],
    steps: int,
    length: Float[Tensor, "points"] | None = None,
) -> Float[Tensor, "steps latent"]:
    """`steps` points equally far apart along `path`.

    `length` is that of the path up to each of its points, such as a displacement in Å; without
    it, the length in latent units.
    """
    if length is None:
        length = torch.cat([path.new_zeros(1), path.diff(dim=0).norm(dim=1).cumsum(0)])
    reached = length.numpy()
    wanted = np.linspace(0, reached[-1], steps)
    columns = [np.interp(wanted, reached, column) for column in path.mT.numpy()]
    return torch.from_numpy(np.stack(columns, axis=1))


def place_steps(
    path: Float[Tensor, "points latent"],
    steps: int,
    length: Float[Tensor, "points"] | None = None,
    *,
    is_closed: bool = False,
) -> Trajectory:
    """`steps` points equally far apart along `path`, as `evenly_spaced`.

    On a closed path, whose last point is its first, the last step is one before the first.
    """
    if is_closed:
        return through(evenly_spaced(path, _checked(steps) + 1, length)[:-1].to(path))
    return through(evenly_spaced(path, _checked(steps), length).to(path))


def through(point: Float[Tensor, "steps latent"]) -> Trajectory:
    """The path through `point`, in that order."""
    length = point.diff(dim=0).norm(dim=1).cumsum(0)
    return Trajectory(point, torch.cat([length.new_zeros(1), length]))


def _checked(steps: int) -> int:
    if steps < 2:
        raise ValueError(f"a path needs at least 2 steps, got {steps}")
    return steps


def _loop_plane(values: Float[Tensor, "particles latent"]) -> Float[Tensor, "particles 2"]:
    """First two principal components from the middle of the ring, each scaled to its own reach.

    The middle is that of the extent, because an unevenly populated ring has its mean off it.
    """
    point = fit_pca(values).point[:, :2].double()
    low, high = torch.from_numpy(np.percentile(point.numpy(), (1, 99), axis=0))
    return (point - (low + high) / 2) / ((high - low) / 2).clamp_min(1e-12)


def _order_along(values: Float[Tensor, "particles latent"]) -> Int64[Tensor, "ordered"]:
    """Particles of the largest connected group, in order along it."""
    first = fit_pca(values).point[:, 0].double()
    if len(values) < 30 or values.shape[1] == 1:
        return first.argsort()
    # Evenly along the first component, so that the choice needs no seed.
    picked = first.argsort()[:: -(-len(values) // SORTED_AT_MOST)]
    place = _slowest_mode(values[picked].numpy())
    inside = ~np.isnan(place)
    if np.corrcoef(place[inside], first[picked].numpy()[inside])[0, 1] < 0:
        place = -place
    _, near = cKDTree(values[picked].numpy()).query(values.numpy(), k=[1, 2, 3])
    mean = torch.from_numpy(place[near].mean(axis=1))
    return mean.argsort(stable=True)[: int((~mean.isnan()).sum())]  # NaN comes last


def _slowest_mode(values: Float[np.ndarray, "picked latent"]) -> Float[np.ndarray, "picked"]:
    """Slowest mode of diffusion between neighbours; NaN outside the largest connected group."""
    graph = _diffusion_graph(values)
    _, group = connected_components(graph)
    inside = np.flatnonzero(group == np.bincount(group).argmax())
    graph = graph[inside][:, inside]
    root = np.sqrt(np.asarray(graph.sum(axis=1)).ravel())
    normalized = graph.multiply(1 / root[:, None]).multiply(1 / root[None, :]).tocsc()
    laplacian = identity(len(inside), format="csc") - normalized
    # Just below 0: the two smallest eigenvalues, of which the first is 0, are found at once.
    decay, vectors = eigsh(laplacian, k=2, sigma=-1e-4, v0=np.linspace(-1, 1, len(inside)))
    place = np.full(len(values), np.nan)
    place[inside] = vectors[:, int(np.argmax(decay))] / root
    return place


def _diffusion_graph(values: Float[np.ndarray, "picked latent"]) -> csr_matrix:
    count, neighbors = len(values), 20
    distance, near = cKDTree(values).query(values, k=neighbors + 1)
    scale = distance[:, -1] + 1e-12  # adapts to how crowded it is
    weight = np.exp(-(distance**2) / (scale[:, None] * scale[near]))
    row = np.repeat(np.arange(count), neighbors + 1)
    graph = coo_matrix((weight.ravel(), (row, near.ravel())), (count, count)).tocsr()
    return graph.maximum(graph.T)


def _running_means(
    ordered: Float[Tensor, "particles latent"], closed: bool
) -> Float[Tensor, "means latent"]:
    """Means of 5 % of the particles (at least 20) at a time, moving by half of that."""
    count = len(ordered)
    window = min(count, max(20, count // 20))
    if closed:
        ordered = torch.cat([ordered, ordered[:window]])
        starts = torch.linspace(0, count, max(4, 2 * count // window) + 1).long()
    else:
        starts = torch.linspace(0, count - window, max(2, 2 * count // window)).long()
    sums = torch.cat([ordered.new_zeros(1, ordered.shape[1]), ordered.cumsum(0)])
    return (sums[starts + window] - sums[starts]) / window
