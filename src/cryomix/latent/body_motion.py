"""How each particle's bodies have moved, by its own latent."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import RBFInterpolator
from sklearn.cluster import KMeans
from torch import Tensor

from cryomix.geometry.rigid_motion import RigidMotion, nearest_rotation
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.bodies import RigidBodies
from cryomix.latent.registration import blur, cover, register_parts, sample_density

_SAMPLE = 10_000  # particles that are clustered into states
_CHUNK = 4096  # particles at once
_FLAT = 1e-3  # of the widest axis: latents so narrow along an axis tell nothing


@dataclass(frozen=True, slots=True)
class States:
    """Latents that between them are near every particle.

    Attributes
    ----------
    latent
        Of each state.
    share
        Of the particles nearest to it, summing to 1.
    """

    latent: Float[Tensor, "states latent"]
    share: Float[Tensor, "states"]


def choose_states(latent: Float[Tensor, "particles latent"], most: int) -> States:
    """Means of at most `most` k-means clusters, fewer where fewer latents differ."""
    sample = latent[:: max(1, len(latent) // _SAMPLE)].numpy()
    count = min(most, len(np.unique(sample, axis=0)))
    fit = KMeans(count, n_init=1, random_state=0).fit(sample)
    share = np.bincount(fit.labels_, minlength=count) / len(sample)
    return States(
        torch.from_numpy(fit.cluster_centers_).to(latent), torch.from_numpy(share).to(latent)
    )


def follow_bodies(bodies: RigidBodies, models: GaussianModel, start: RigidMotion) -> RigidMotion:
    """Where the bodies are in each of the `models`, near `start`: (models, bodies)."""
    grid = cover(models)
    rest = blur(bodies.rest)
    found = [
        register_parts(
            sample_density(blur(models[number]), grid), rest, bodies.label, start[number], grid
        )
        for number in range(len(start))
    ]
    return RigidMotion(
        torch.stack([motion.rotation for motion in found]),
        torch.stack([motion.shift for motion in found]),
    )


def interpolate_motions(
    bodies: RigidBodies,
    state: Float[Tensor, "states latent"],
    motion: RigidMotion,
    latent: Float[Tensor, "particles latent"],
) -> RigidMotion:
    """From rest to each particle, of each body: (particles, bodies).

    Parameters
    ----------
    bodies
        At rest.
    state, motion
        Latents at which the bodies' motions, (states, bodies), are known.
    latent
        Of the particles.

    Notes
    -----
    Thin-plate splines through the places of a body's centre and through the entries of its
    rotation, of which the nearest rotation is taken: no angle jumps on a turn of 360 degrees.
    """
    pivot = bodies.centers()
    place = (motion.rotation @ pivot[..., None])[..., 0] + motion.shift
    known = torch.cat([motion.rotation.flatten(2), place], dim=2).flatten(1).double().numpy()
    # A spline cannot be fitted along axes in which nothing differs.
    middle = state.double().mean(0)
    _, width, axis = torch.linalg.svd(state.double() - middle, full_matrices=False)
    axis = axis[width > _FLAT * width.max().clamp_min(1e-12)]
    if not len(axis):
        value = torch.from_numpy(known.mean(axis=0)).expand(len(latent), -1)
    else:
        spline = RBFInterpolator(((state.double() - middle) @ axis.T).numpy(), known)
        parts = [
            spline(((part.double() - middle) @ axis.T).numpy()) for part in latent.split(_CHUNK)
        ]
        value = torch.from_numpy(np.concatenate(parts))
    value = value.float().reshape(len(latent), len(pivot), 12)
    rotation = nearest_rotation(value[..., :9].unflatten(-1, (3, 3)))
    shift = value[..., 9:] - (rotation @ pivot[..., None])[..., 0]
    return RigidMotion(rotation, shift)


def distance_moved(bodies: RigidBodies, body: int, motion: RigidMotion) -> float:
    """Root mean square way of a body's mass from rest, over `motion` of the particles, Å."""
    some = bodies.rest.subset(bodies.label == body)
    mass = some.amplitude * some.width**3
    weight = mass / mass.sum()
    total = torch.zeros((), dtype=torch.float64)
    for part in torch.arange(len(motion)).split(_CHUNK):
        way = motion[part].apply(some.center) - some.center
        total += (way.square().sum(2) @ weight).sum()
    return float((total / len(motion)).sqrt())
