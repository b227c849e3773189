"""The Gaussians along a path as numbers for the page's own drawing, which a reader turns."""

import json

import numpy as np
import torch
from jaxtyping import Float
from markupsafe import Markup
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.report.motion_pictures import frame_models

GAUSSIANS_AT_MOST = 1200
STEPS_AT_MOST = 21


def encode_model(models: GaussianModel, share: Float[Tensor, "steps gaussians"]) -> Markup:
    """JSON of a batch of models, one per step of a path.

    The heaviest Gaussians only, where there are very many, and steps evenly left out of a long
    path. Keys: ``steps``, ``gaussians``; ``reach``, half the edge of the cube that holds them, Å;
    ``center``, x, y, z from the middle of that cube in tenths of Å, step after step; ``mass``, of
    100 for the heaviest; ``moving``, in percent; ``left_out``, share of the mass in percent.

    Parameters
    ----------
    models
        One per step.
    share
        How much of each Gaussian belongs to the part that moves, 0 to 1.
    """
    total = len(models.center)
    step = torch.linspace(0, total - 1, min(total, STEPS_AT_MOST)).round().long()
    mass = (models.amplitude * models.width**3).double()
    kept = mass.mean(dim=0).argsort(descending=True, stable=True)[:GAUSSIANS_AT_MOST].sort().values
    frame = frame_models(models)
    center = models.center[step][:, kept].double() - torch.tensor(frame.middle).double()
    shown = mass[step][:, kept].clamp_min(0)
    numbers = {
        "steps": len(step),
        "gaussians": len(kept),
        "reach": round(frame.reach, 1),
        "center": _whole(10 * center),
        "mass": _whole(100 * shown / shown.max().clamp_min(1e-30)),
        "moving": _whole(100 * share[step][:, kept].double()),
        "left_out": round(100 * (1 - float(mass[:, kept].sum() / mass.sum())), 1),
    }
    # Numbers and our own words only: nothing here can end the element that holds it.
    return Markup(json.dumps(numbers, separators=(",", ":")))


def _whole(values: Float[Tensor, "..."]) -> list[int]:
    whole: list[int] = np.rint(values.numpy()).astype(int).ravel().tolist()
    return whole
