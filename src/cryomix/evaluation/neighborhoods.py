"""Whether what is close in one space is close in another: of latents, truth, poses and CTF."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int64
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from scipy.stats import rankdata

from cryomix.imaging.ctf import Ctf
from cryomix.imaging.particles import Particles

STRIDE = 5  # every fifth particle, from each of the first five
STEP = 200  # neighbours, and multiples of it
_SHARE = 5  # up to a fifth of the particles that are compared
_CENTERS = 1000  # particles of each fifth whose neighbours are looked at


def neighborhood_similarity(
    first: Float[np.ndarray, "particles a"],
    second: Float[np.ndarray, "particles b"],
    count: int,
) -> float:
    """Share of the `count` nearest in one space that are among as many nearest in the other."""
    count = min(count, len(first) - 1)
    rows = np.arange(len(first))[:, None] * len(first)
    # One number per pair of particles, so that all the sets are compared at once.
    pairs = (rows + nearest_others(space, count) for space in (first, second))
    return float(np.isin(*pairs).mean())


def neighborhood_counts(particles: int) -> list[int]:
    """200, 400 … up to a fifth of every fifth particle: 4,000 of CryoBench's 100,000."""
    return list(range(STEP, particles // STRIDE // _SHARE + 1, STEP))


def neighborhood_curve(
    first: Float[np.ndarray, "particles a"],
    second: Float[np.ndarray, "particles b"],
    counts: Sequence[int],
    *,
    seed: int = 0,
) -> Float[np.ndarray, "five counts"]:
    """Neighbourhood similarity by the definition of CryoBench, of each fifth of the particles.

    Of every fifth particle, from each of the first five on: the share of the k nearest in one
    space, the particle itself counted, that are among the k nearest in the other. Of each fifth at
    most 1,000 particles, drawn by `seed`, are asked for their neighbours.
    """
    generator = np.random.default_rng(seed)
    edges = np.asarray(counts)
    curve = np.empty((STRIDE, len(counts)))
    for offset in range(STRIDE):
        a, b = first[offset::STRIDE], second[offset::STRIDE]
        centers = generator.permutation(len(a))[:_CENTERS]
        shared = np.zeros(len(counts))
        for part in np.array_split(centers, max(1, len(centers) * len(a) // 2**21)):
            # A neighbour is among the k nearest of both from its larger rank on.
            rank = np.maximum(_ranks(a, part), _ranks(b, part))
            shared += np.cumsum(np.bincount(rank.ravel(), minlength=len(a)))[edges - 1]
        curve[offset] = shared / (len(centers) * edges)
    return curve


def information_imbalance(
    first: Float[np.ndarray, "particles a"],
    second: Float[np.ndarray, "particles b"],
    *,
    neighbors: int = 30,
    sample: int = 2000,
    seed: int = 0,
) -> float:
    """How little closeness in the first space says of the second: 0 all, 1 nothing.

    Twice the mean rank in the second space of the nearest in the first, over the number of
    particles; mean over the 1 to `neighbors` nearest, of at most `sample` different particles.
    With poses or CTF as the first space and latents as the second it should be 1; else the
    latents hold what is no property of the molecule.
    """
    chosen = np.unique(first, axis=0, return_index=True)[1]
    chosen = np.random.default_rng(seed).permutation(chosen)[:sample]
    count = len(chosen)
    if count <= neighbors:
        raise ValueError(f"{neighbors} neighbours of {count} different particles")
    near = nearest_others(first[chosen], neighbors)
    distance = cdist(second[chosen], second[chosen])
    np.fill_diagonal(distance, -1)  # the particle itself has rank 0
    rank = rankdata(distance, axis=1) - 1
    return float(2 / count * np.take_along_axis(rank, near, axis=1).mean())


def leaks(
    particles: Particles, latent: Float[np.ndarray, "particles latent"], *, seed: int = 0
) -> dict[str, float]:
    """Information imbalance between latents and what is no property of the molecule.

    ``imbalance_pose_latent``: how little closeness in pose (rotation matrices) says of the
    latent; ``imbalance_latent_pose``: the other way; the same for the CTF (mean defocus and both
    components of the astigmatism, each in its standard deviations). Where fewer than 100 particles
    differ in it, the CTF is left out.
    """
    spaces: dict[str, np.ndarray] = {
        "pose": particles.poses.rotation.flatten(1).double().numpy(),
        "ctf": ctf_space(particles.ctf),
    }
    found = {}
    for name, space in spaces.items():
        if len(np.unique(space, axis=0)) < 100 or len(np.unique(latent, axis=0)) < 100:
            continue
        found[f"imbalance_{name}_latent"] = information_imbalance(space, latent, seed=seed)
        found[f"imbalance_latent_{name}"] = information_imbalance(latent, space, seed=seed)
    return found


def ctf_space(ctf: Ctf) -> Float[np.ndarray, "particles 3"]:
    """Mean defocus and astigmatism along two axes, each in its standard deviations."""
    u, v = ctf.defocus_u.double().numpy(), ctf.defocus_v.double().numpy()
    twice = np.deg2rad(2 * ctf.defocus_angle_deg.double().numpy())
    # A direction of astigmatism and its opposite are the same.
    columns = np.stack([u + v, (u - v) * np.cos(twice), (u - v) * np.sin(twice)], axis=1)
    deviation = columns.std(axis=0)
    return (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def nearest_others(
    space: Float[np.ndarray, "particles axes"], count: int
) -> Int64[np.ndarray, "particles count"]:
    """The `count` nearest of each particle, without itself."""
    count = min(count, len(space) - 1)
    _, near = cKDTree(space).query(space, k=list(range(2, count + 2)))
    return near.astype(np.int64)


def truth_space(truth: Mapping[str, np.ndarray]) -> Float[np.ndarray, "particles axes"] | None:
    """The coordinate t as a line, or as a circle if it is cyclic; None where there is none."""
    if "t" not in truth:
        return None
    coordinate = np.asarray(truth["t"], dtype=np.float64)
    return as_space(coordinate, bool(np.all(truth["cyclic"])) if "cyclic" in truth else False)


def as_space(
    coordinate: Float[np.ndarray, "particles"], cyclic: bool
) -> Float[np.ndarray, "particles axes"]:
    """A line or a circle; a trace of noise breaks the ties between particles of one state."""
    if cyclic:
        angle = 2 * np.pi * coordinate
        space = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        space = coordinate[:, None]
    return space + 1e-6 * np.random.default_rng(0).normal(size=space.shape)


def _ranks(
    space: Float[np.ndarray, "particles axes"], centers: Int64[np.ndarray, "centers"]
) -> Int64[np.ndarray, "centers particles"]:
    """Of every particle by its distance from each center, which has rank 0 itself."""
    distance = cdist(space[centers], space)
    distance[np.arange(len(centers)), centers] = -1
    order = np.argsort(distance, axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(len(space))[None].repeat(len(centers), 0), axis=1)
    return rank
