"""Motions of domains: found from masks, selections of Gaussians, or by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from cryomix.files.job import JobFolder
    from cryomix.fitting.trained_model import TrainedModel
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.particles import Particles
    from cryomix.latent.localized_path import DomainMotion

_SAMPLE = 50  # conformations that parts are found from
_MOST_COMBINED = 3  # domains; more would make too many sums and differences to look at


def read_domains(
    paths: Sequence[Path], neutral: "GaussianModel", particles: "Particles"
) -> "dict[str, Bool[Tensor, 'gaussians']]":
    """Gaussians of each domain by name: of a mask, where it is above one half, or of a selection.

    Raises
    ------
    InputFileError
        If one holds none of the Gaussians, or all, or two have one name.
    """
    from cryomix.commands.focus import read_weight
    from cryomix.errors import InputFileError

    domains: dict[str, Tensor] = {}
    for path in paths:
        inside = read_weight(path, neutral, len(neutral), particles) > 0.5
        if bool(inside.all()):
            raise InputFileError(
                f"{path}: a domain must hold some of the Gaussians and not all, "
                f"got {int(inside.sum())} of {len(neutral)}"
            )
        if path.stem in domains:
            raise InputFileError(f"{path}: two domains must not have one name, {path.stem!r}")
        domains[path.stem] = inside
    return domains


def find_parts(job: "JobFolder", seed: int) -> "dict[str, Bool[Tensor, 'gaussians']]":
    """Rigid parts but the heaviest; writes ``parts.npy``, the number of each Gaussian's part."""
    import torch

    from cryomix.files.checkpoint import read_array, write_array
    from cryomix.files.training import read_model
    from cryomix.latent.domains import find_domains

    latent = torch.from_numpy(read_array(job.latents))
    generator = torch.Generator().manual_seed(seed)
    some = latent[torch.randperm(len(latent), generator=generator)[:_SAMPLE]]
    label = find_domains(read_model(job.model).decode(some))
    if label is None:
        return {}
    write_array(job.parts, label.numpy())
    return {f"part{number}": label == number for number in range(1, int(label.max()) + 1)}


def localize_into(
    job: "JobFolder", domains: "dict[str, Bool[Tensor, 'gaussians']]", steps: int
) -> list[str]:
    """Find the motion of each domain, alone and in pairs; write it, and say it in a few lines."""
    import torch

    from cryomix.files.checkpoint import read_array, write_array
    from cryomix.files.domain_motions import write_domain_motions
    from cryomix.files.training import read_model
    from cryomix.latent.motion import center_jacobian

    model = read_model(job.model)
    latent = torch.from_numpy(read_array(job.latents))
    jacobian = center_jacobian(model.decode, torch.zeros(latent.shape[1]))
    found = {
        name: _localize(model, latent, jacobian, name, inside, steps)
        for name, inside in domains.items()
    }
    for name, each in found.items():
        write_array(job.domain_members(name), domains[name].numpy())
        write_array(job.localized(name), each.direction.numpy())
        write_array(job.domain_coordinate(name), each.coordinate.numpy())
        write_array(job.localized_path(name), each.path.numpy())
    for name, path in _combine({name: each.path for name, each in found.items()}).items():
        write_array(job.localized_path(name), path.numpy())
    motions = [each.motion for each in found.values()]
    write_domain_motions(job.domain_motions, motions)
    directions = {name: each.direction[0] for name, each in found.items()}
    return [line for motion in motions for line in _describe(motion)] + _angles(directions)


def path_names(motions: "Sequence[DomainMotion]") -> dict[str, str]:
    """Names of the paths of `localize_into`, and what they show in words."""
    names = [motion.name for motion in motions]
    words = {name: f"{name} alone" for name in names}
    for first, second in combinations(names[:_MOST_COMBINED], 2):
        words[f"{first}_plus_{second}"] = f"{first} with {second}"
        words[f"{first}_minus_{second}"] = f"{first} against {second}"
    return words


@dataclass(frozen=True, slots=True)
class _Localized:
    motion: "DomainMotion"
    direction: "Float[Tensor, 'directions latent']"
    coordinate: "Float[Tensor, 'particles']"
    path: "Float[Tensor, 'steps latent']"


def _localize(
    model: "TrainedModel",
    latent: "Float[Tensor, 'particles latent']",
    jacobian: "Float[Tensor, 'gaussians 3 latent']",
    name: str,
    inside: "Bool[Tensor, 'gaussians']",
    steps: int,
) -> _Localized:
    from cryomix.latent.localized_path import (
        DomainMotion,
        mean_path,
        motion_coordinate,
        share_inside,
    )
    from cryomix.latent.motion import localized_directions
    from cryomix.latent.screw_motion import fit_screw_motion

    weight = model.decoder.neutral.amplitude
    found = localized_directions(jacobian, inside, weight)
    field = jacobian @ found.direction[0]
    coordinate = motion_coordinate(model.decode, latent, field, inside, weight)
    path = mean_path(latent, coordinate, steps)
    models = model.decode(path)
    motion = DomainMotion(
        name,
        int(inside.sum()),
        float(found.inside[0]),
        float(found.outside[0]),
        share_inside(models, inside, weight),
        fit_screw_motion(models, inside),
    )
    return _Localized(motion, found.direction, coordinate, path)


def _combine(
    paths: "dict[str, Float[Tensor, 'steps latent']]",
) -> "dict[str, Float[Tensor, 'steps latent']]":
    """Sums and differences of two motions."""
    from cryomix.latent.localized_path import together

    combined = {}
    for (name, path), (other, second) in combinations(list(paths.items())[:_MOST_COMBINED], 2):
        combined[f"{name}_plus_{other}"] = together(path, second)
        combined[f"{name}_minus_{other}"] = together(path, second.flip(0))
    return combined


def _describe(motion: "DomainMotion") -> list[str]:
    from cryomix.report.domains import describe_screw_motion

    return [
        f"{motion.name}: {motion.gaussians} Gaussians; {motion.inside:.2f} Å inside the domain, "
        f"{motion.outside:.2f} Å outside, per latent; {100 * motion.share_inside:.0f} % of the "
        "motion along its path is inside",
        f"{motion.name}: {describe_screw_motion(motion.rigid)}",
    ]


def _angles(directions: "dict[str, Float[Tensor, 'latent']]") -> list[str]:
    import math

    lines = []
    for (name, first), (other, second) in combinations(directions.items(), 2):
        degrees = math.degrees(math.acos(min(1.0, abs(float(first @ second)))))
        lines.append(f"{name} and {other}: {degrees:.0f}° between their directions")
    return lines
