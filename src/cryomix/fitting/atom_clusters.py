"""The neutral model of an atomic model: a Gaussian for each cluster of atoms."""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans
from torch import Tensor

from cryomix.errors import InputFileError
from cryomix.fitting.map_views import MapViews, validate_model
from cryomix.fitting.neutral import (
    WIDTH_PER_RESOLUTION,
    NeutralFit,
    Report,
    optimise_gaussians,
    target_resolution,
)
from cryomix.fitting.units import to_physical_units
from cryomix.imaging.gaussians import GaussianModel, select_inside
from cryomix.imaging.masking import apply_mask
from cryomix.imaging.volume import Volume
from cryomix.options import NeutralOptions

_ROUNDS = 15  # of k-means, which is only where the fit starts
_WORTH_REFINING = 0.8  # mean FRC of clusters; a fit raises it by 0.15 at most


def fit_neutral_to_atoms(
    atoms: GaussianModel,
    volume: Volume,
    options: NeutralOptions,
    *,
    mask: Volume | None = None,
    report: Report,
) -> NeutralFit:
    """Gaussians at clusters of atoms, twice as many until they show the target resolution.

    Where the atoms are is known, so the fit need not climb from coarse to fine: it starts with the
    clusters, each as heavy and as wide as its atoms, and compares at the target resolution only.

    Parameters
    ----------
    atoms
        Of one width; pooled ones will do where they are as fine as the voxels.
    volume
        Their density.
    options
        The stages of `fit_neutral` are not used.
    mask
        Outside of which atoms do not count.
    report
        Told of every number of Gaussians.

    Raises
    ------
    ResolutionError
        If the target is finer than the map's sampling allows.
    InputFileError
        If no atom is inside the mask.
    """
    resolution = target_resolution(volume, options)
    if mask is not None:
        volume = apply_mask(volume, mask)
        atoms = atoms.subset(select_inside(atoms, mask))
        if not len(atoms):
            raise InputFileError("the mask must hold atoms of the model, got none")
    views = MapViews.of(volume, resolution, options.views)
    most = min(options.gaussians or options.most_gaussians, len(atoms))
    count = most if options.gaussians else min(options.start_gaussians, most)
    while True:
        report(f"{count} clusters of atoms at {resolution:.0f} Å")
        fit = _fit(atoms, count, volume, views, resolution, options)
        if count == most or fit.mean_frc > options.frc:
            return fit
        count = min(2 * count, most)


def _fit(
    atoms: GaussianModel,
    count: int,
    volume: Volume,
    views: MapViews,
    resolution: float,
    options: NeutralOptions,
) -> NeutralFit:
    width = resolution * WIDTH_PER_RESOLUTION
    logit = _cluster(atoms, count, width, views.box_length, options.seed)
    model = to_physical_units(logit.sigmoid(), views.box_length, width)
    frc = validate_model(model, volume, resolution)
    if options.gaussians or views.band_mean(frc) > _WORTH_REFINING:
        weight = torch.ones(views.last_ring)
        generator = torch.Generator().manual_seed(options.seed)
        logit = optimise_gaussians(logit, width, views, weight, options, generator)
        model = to_physical_units(logit.sigmoid(), views.box_length, width)
        frc = validate_model(model, volume, resolution)
    return NeutralFit(model, width, views.box_length, resolution, frc, views.band_mean(frc))


def _cluster(
    atoms: GaussianModel, count: int, base_width: float, box_length: float, seed: int
) -> Float[Tensor, "gaussians 5"]:
    """Logits of network units of Gaussians with the mass, centre and spread of their atoms."""
    position = atoms.center.double().numpy()
    mass = (atoms.amplitude * atoms.width**3).double().numpy()
    means = KMeans(count, init="random", n_init=1, max_iter=_ROUNDS, random_state=seed)
    label = means.fit_predict(position, sample_weight=mass)
    heavy = np.bincount(label, mass, minlength=count)
    filled = heavy > 0
    axes = [np.bincount(label, mass * axis, minlength=count) for axis in position.T]
    center = np.stack(axes, axis=1) / np.where(filled, heavy, 1)[:, None]
    square = np.square(position - center[label]).sum(axis=1) / 3
    square += np.square(atoms.width.double().numpy())
    width = np.sqrt(np.bincount(label, mass * square, minlength=count)[filled] / heavy[filled])
    width = width.clip(0.6 * base_width, 1.4 * base_width)
    amplitude = heavy[filled] / width**3
    columns = [
        center[filled] / box_length + 0.5,
        0.3 * amplitude[:, None] / amplitude.mean(),  # the FRC does not see the scale
        width[:, None] / base_width - 0.5,
    ]
    unit = torch.from_numpy(np.concatenate(columns, axis=1)).float()
    return torch.logit(unit.clamp(0.01, 0.99))
