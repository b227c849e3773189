"""How domains turn and shift from one latent to another, as the report says it of their paths."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from cryomix.geometry.rigid_motion import turn_by
from cryomix.imaging.gaussians import GaussianModel
from cryomix.latent.screw_motion import ScrewMotion, fit_screw_motion

_MOST_STEPS = 12


def measure_turns(
    decode: Callable[[Tensor], GaussianModel],
    ends: tuple[Float[Tensor, "latent"], Float[Tensor, "latent"]],
    domains: Sequence[Bool[Tensor, "gaussians"]],
    fixed: Bool[Tensor, "gaussians"] | None = None,
) -> list[ScrewMotion]:
    """The motion of the density of each domain along the straight way between two latents.

    Parameters
    ----------
    decode
        The model of each latent.
    ends
        From where to where.
    domains
        Which Gaussians are in each.
    fixed
        A domain that the motions are told relative to; without, they are those in the frame of
        the consensus refinement.
    """
    models = _decode_between(decode, *ends)
    if fixed is not None:
        models = hold(models, fit_screw_motion(models, fixed))
    return [fit_screw_motion(models, inside) for inside in domains]


def hold(models: GaussianModel, screw: ScrewMotion) -> GaussianModel:
    """The models of a path with a motion taken back, the same share of it from step to step."""
    share = torch.linspace(0, 1, len(models.center), dtype=torch.float64)
    turn = turn_by(share[:, None] * math.radians(screw.angle_deg) * screw.axis)
    shift = (share * screw.shift)[:, None] * screw.axis + screw.hinge
    back = (models.center.double() - shift[:, None]) @ turn + screw.hinge
    return GaussianModel(back.to(models.center), models.amplitude, models.width)


def turn_told(turn: ScrewMotion) -> dict[str, object]:
    """As JSON takes it."""
    told: dict[str, object] = {name: float(value) for name, value in _numbers(turn)}
    return told | {"axis": turn.axis.tolist(), "hinge": turn.hinge.tolist()}


def _numbers(turn: ScrewMotion) -> list[tuple[str, float]]:
    return [(name, value) for name, value in asdict(turn).items() if name not in ("axis", "hinge")]


def _decode_between(
    decode: Callable[[Tensor], GaussianModel],
    start: Float[Tensor, "latent"],
    end: Float[Tensor, "latent"],
) -> GaussianModel:
    """In steps that move no Gaussian by more than its width, as far as twelve can."""
    with torch.no_grad():
        both = decode(torch.stack([start, end]))
        moved = (both.center[1] - both.center[0]).norm(dim=-1) / both.width.mean(0)
        steps = min(_MOST_STEPS, max(2, 1 + math.ceil(float(moved.max()))))
        share = torch.linspace(0, 1, steps)[:, None]
        return decode(start + share * (end - start))
