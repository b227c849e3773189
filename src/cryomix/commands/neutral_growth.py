"""The neutral model of a job, grown where its particles show density that it lacks."""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryomix.files.job import JobFolder
    from cryomix.files.neutral_model import StoredNeutral
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume

_SAMPLE = 20_000  # particles; they show what is missing at a signal-to-noise ratio of 0.005
_PADDING = 1.5


def grow_neutral(
    job: "JobFolder",
    particles: "Particles",
    neutral: "StoredNeutral",
    mask: "Volume | None",
    seed: int,
) -> "StoredNeutral":
    """The neutral model of `job`, complete as far as `particles` show it; kept in `job`.

    Nothing is added outside of `mask`, if there is one: somebody has said where the molecule is.

    A job that goes on takes what it found before. Every process gets the same model.
    """
    import torch

    from cryomix.commands.progress import counting
    from cryomix.files.neutral_model import read_neutral, store_grown
    from cryomix.imaging.particles import in_two_halves, working_grid
    from cryomix.processes import agree, is_first_process
    from cryomix.reconstruction.backprojection import reconstruct_groups

    known = read_neutral(job.neutral_model) if is_first_process() else neutral
    if agree(known.added is not None):
        return replace(neutral, model=_share_model(known.model))
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(len(particles), generator=generator)[:_SAMPLE].sort().values
    # The noise is found from two halves, also where one half set alone was selected.
    particles = in_two_halves(particles, sample)
    grid = working_grid(particles, neutral.resolution)
    with counting("particles compared with the neutral model") as report:
        maps = reconstruct_groups(particles, [sample], grid=grid, padding=_PADDING, report=report)
    model = neutral.model
    if is_first_process():
        model = _grow(neutral, maps[0].first, maps[0].second, mask, seed)
        store_grown(job, replace(neutral, model=model), len(model) - len(neutral.model))
    return replace(neutral, model=_share_model(model))


def _grow(
    neutral: "StoredNeutral", first: "Volume", second: "Volume", mask: "Volume | None", seed: int
) -> "GaussianModel":
    from cryomix.commands.progress import say
    from cryomix.fitting.growth import grow_model
    from cryomix.imaging.missing_density import LEAST_SHARE_OF_PEAK, find_missing_density
    from cryomix.imaging.volume import crop_volume

    within = None if mask is None else crop_volume(mask, first.box_size)
    missing = find_missing_density(neutral.model, first, second, neutral.resolution, within)
    if missing is None:
        share = 100 * LEAST_SHARE_OF_PEAK
        say(f"the particles show no density over {share:g} % that the neutral model lacks")
        return neutral.model
    say(f"the neutral model lacks {100 * missing.mass:.0f} % of its mass, as the particles show")
    model = grow_model(neutral.model, missing, neutral.base_width, seed=seed, report=say)
    added = len(model) - len(neutral.model)
    left = find_missing_density(model, first, second, neutral.resolution, within)
    say(
        f"{added} Gaussians added where the particles show density that the neutral model lacks; "
        f"{100 * left.mass if left else 0:.0f} % of its mass is lacking now"
    )
    return model


def _share_model(model: "GaussianModel") -> "GaussianModel":
    """That of the first process."""
    import torch

    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.processes import agree, is_first_process, take_from_first

    count = agree(len(model))
    if not is_first_process():
        model = GaussianModel(torch.zeros(count, 3), torch.zeros(count), torch.zeros(count))
    take_from_first([model.center, model.amplitude, model.width])
    return model
