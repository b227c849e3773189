"""The way between two states that keeps to where particles are many.

A straight line between two points of a bent cloud, or of a ring, runs where no particle is, and
decodes to states that nobody saw. Here a path costs the integral of 1 / density along it. For
diffusion at the same rate everywhere it is the path of the largest flow between its ends (Berkowitz
and others, J. Chem. Phys. 79, 5563, 1983), if the density is that of the equilibrium.
"""

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from torch import Tensor

from cryomix.errors import OptionError
from cryomix.latent.trajectory import evenly_spaced
from cryomix.latent.waypoints import require_path

GRAPH_AT_MOST = 50_000  # particles in the graph
CROWD = 50  # particles whose reach is the measure of the density
_NEIGHBORS = 15
_POINTS = 61  # of each leg
_ROUNDS = 10


def along_particles(
    latent: Float[Tensor, "particles latent"], waypoint: Float[Tensor, "waypoints latent"]
) -> Float[Tensor, "points latent"]:
    """The path through `waypoint`, in their order, that costs least: ∫ ds / density.

    Parameters
    ----------
    latent
        Only particles that see the motion should be among them: latents of others say where the
        prior is, not where molecules are.
    waypoint
        At least two points; the path holds each.

    Returns
    -------
    path
        61 points from each waypoint to the next, evenly far apart.

    Raises
    ------
    OptionError
        If no chain of neighbouring particles leads from one waypoint to the next, if two of them
        are the same, or if there are fewer than two.

    Notes
    -----
    Shortest path in the graph of each particle's 15 nearest neighbours (Dijkstra), the waypoints
    among them. An edge costs its length times the mean of 1 / density at its ends, where
    1 / density is the reach of the 50 nearest particles to the power of the number of
    dimensions. The chain of particles found is then drawn to the middle of the stream: ten times,
    each point goes to the mean of the 50 particles nearest to it, and the path is smoothed and
    spaced evenly. Of more than 50,000 particles an even choice is in the graph.
    """
    require_path(waypoint)
    values = latent.detach().cpu().double().numpy()
    values = values[:: -(-len(values) // GRAPH_AT_MOST)]
    stop = waypoint.detach().cpu().double().numpy()
    graph = _cost_graph(np.concatenate([values, stop]))
    tree = cKDTree(values)
    legs = []
    for number in range(len(stop) - 1):
        chain = _cheapest(graph, len(values) + number, len(values) + number + 1)
        if not len(chain):
            raise OptionError(
                f"geodesic: no chain of neighbouring particles leads from point {number + 1} to "
                f"point {number + 2}: a gap in the latent space lies between; straight crosses it"
            )
        leg = np.concatenate([values, stop])[chain]
        legs.append(_in_the_stream(torch.from_numpy(leg), tree)[1 if number else 0 :])
    return torch.cat(legs).to(latent)


def relative_reach(
    latent: Float[Tensor, "particles latent"], point: Float[Tensor, "points latent"]
) -> Float[Tensor, "points"]:
    """How far the 50 nearest particles reach at each point, over the median of all particles.

    1 where particles are as dense as around the typical particle, 2 in two dimensions where they
    are a quarter as dense, larger still where none is.
    """
    values = latent.detach().cpu().double().numpy()
    tree = cKDTree(values)
    among = _reach(tree, values[:: -(-len(values) // GRAPH_AT_MOST)])
    reach = _reach(tree, point.detach().cpu().double().numpy())
    return torch.from_numpy(reach / max(float(np.median(among)), 1e-30)).to(point)


def _cost_graph(values: Float[np.ndarray, "points latent"]) -> csr_matrix:
    """Edges between neighbours, each with its length over the density."""
    count, size = values.shape
    tree = cKDTree(values)
    neighbors = min(_NEIGHBORS, count - 1)
    distance, near = tree.query(values, k=list(range(2, neighbors + 2)))
    reach = _reach(tree, values)
    # Particles with the same latent are at no distance, and no edge costs nothing.
    inverse = np.maximum(reach / max(float(np.median(reach)), 1e-30), 1e-3) ** size
    row, column = np.repeat(np.arange(count), neighbors), near.ravel()
    length = np.maximum(distance.ravel(), 1e-9 * max(float(distance.max()), 1e-30))
    cost = length * (inverse[row] + inverse[column]) / 2
    return coo_matrix((cost, (row, column)), (count, count)).tocsr()


def _cheapest(graph: csr_matrix, start: int, end: int) -> list[int]:
    """Nodes from `start` to `end`; none where no edges lead there."""
    _, before = dijkstra(graph, directed=False, indices=start, return_predecessors=True)
    chain = [end]
    while chain[-1] != start:
        if before[chain[-1]] < 0:
            return []
        chain.append(int(before[chain[-1]]))
    return chain[::-1]


def _in_the_stream(
    chain: Float[Tensor, "nodes latent"], tree: cKDTree
) -> Float[Tensor, "points latent"]:
    """The path of `chain` drawn to the middle of the particles; its ends stay."""
    path = evenly_spaced(chain, _POINTS)
    among = list(range(1, min(CROWD, tree.n) + 1))
    for _ in range(_ROUNDS):
        path[1:-1] = torch.from_numpy(tree.data[tree.query(path[1:-1].numpy(), k=among)[1]].mean(1))
        path[1:-1] = (path[:-2] + 2 * path[1:-1] + path[2:]) / 4
        path = evenly_spaced(path, _POINTS)
    return path


def _reach(tree: cKDTree, point: Float[np.ndarray, "points latent"]) -> Float[np.ndarray, "points"]:
    reach: np.ndarray = tree.query(point, k=[min(CROWD, tree.n)])[0][:, 0]
    return reach
