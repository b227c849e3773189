"""An atomic model carried to the states that a user asks for."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import DataWarning, InputFileError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from jaxtyping import Float

    from cryomix.files.job import JobFolder
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.options import StatesOptions

_LEAST_SHARE, _GOOD_SHARE = 0.5, 0.9  # of the atoms, on the density
_GOOD_CORRELATION = 0.8


def carry_model(job: "JobFolder", out: Path, to: str, options: "StatesOptions") -> str:
    """Write the atoms of a file at each state; how well they lie in the density, in a line.

    Of the neutral structure and the states, the one whose density they fit best is taken for that
    of the atoms as they are.

    Raises
    ------
    OptionError
        If there are no states, or the file can hold no atomic model.
    InputFileError
        If most atoms lie outside the density of every state.
    """
    import numpy as np
    import torch

    from cryomix.commands.decoded_states import decode_neutral, decode_states
    from cryomix.files.atomic_model import read_atomic_model, write_atomic_states
    from cryomix.latent.carried_atoms import carry_atoms, density_correlation

    if to not in ("cif", "pdb"):
        raise OptionError(f"--atoms: are written as cif or pdb, got --to {to}")
    if options.along is None and options.at is None and not options.clusters:
        raise OptionError("--atoms: need states to be carried to: --along, --at or --clusters")
    source = Path(options.atoms or "")
    atoms = read_atomic_model(source)
    states = decode_states(job, options)
    middle = states.frame.center.numpy()
    place = atoms.position - middle
    models = _with_neutral(decode_neutral(job), states.models)
    fits = [density_correlation(place, atoms.mass, model) for model in _each(models)]
    start = max(range(len(fits)), key=fits.__getitem__)
    share = _require_on_density(source, place, models[start], fits[start])

    ways = _ways(fits, start, is_path=options.along is not None)
    routes = [models[torch.tensor(way)] for way in ways]
    carried = carry_atoms(place, atoms.radius, routes)
    position = np.empty((len(fits), *place.shape))
    position[start] = place
    for way, places in zip(ways, carried, strict=True):
        position[way] = places
    write_atomic_states(out, atoms, position[1:] + middle)
    where = f"state {start}" if start else "the neutral structure"
    return (
        f"{out}: {len(states)} models of {len(place)} atoms ({states.source}), carried from "
        f"{where}: {100 * share:.0f} % of the atoms lie on its density, correlation "
        f"{fits[start]:.2f}"
    )


def _with_neutral(neutral: "GaussianModel", states: "GaussianModel") -> "GaussianModel":
    import torch

    from cryomix.imaging.gaussians import GaussianModel

    return GaussianModel(
        *(
            torch.cat([getattr(neutral, name)[None], getattr(states, name)])
            for name in ("center", "amplitude", "width")
        )
    )


def _each(models: "GaussianModel") -> "Iterator[GaussianModel]":
    return (models[number] for number in range(len(models.center)))


def _require_on_density(
    source: Path, place: "Float[np.ndarray, 'atoms 3']", start: "GaussianModel", correlation: float
) -> float:
    from cryomix.latent.carried_atoms import share_on_density

    share = share_on_density(place, start)
    told = (
        f"{source}: {100 * share:.0f} % of its atoms lie on the density of this job, correlation "
        f"{correlation:.2f}"
    )
    if share < _LEAST_SHARE:
        raise InputFileError(
            f"{told}; it must be fitted into the job's maps, such as neutral/neutral.mrc"
        )
    if share < _GOOD_SHARE or correlation < _GOOD_CORRELATION:
        warnings.warn(f"{told}: was it fitted into the job's maps?", DataWarning, stacklevel=2)
    return share


def _ways(fits: list[float], start: int, *, is_path: bool) -> list[list[int]]:
    """From `start` to all states, which are numbered from 1; 0 is the neutral structure.

    A path is followed both ways from its point that fits the atoms best; other states have no
    order, and are reached straight.
    """
    count = len(fits)
    if not is_path:
        return [[start, state] for state in range(1, count) if state != start]
    nearest = max(range(1, count), key=fits.__getitem__)
    ways = [list(range(nearest, count)), list(range(nearest, 0, -1))]
    whole = [way if way[0] == start else [start, *way] for way in ways]
    return [way for way in whole if len(way) > 1]
