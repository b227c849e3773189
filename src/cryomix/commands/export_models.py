"""Models of states as files of atoms and tables, for `cryomix export`."""

from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import OptionError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from cryomix.files.job import JobFolder
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.options import StatesOptions


def export_models(job: "JobFolder", out: Path, to: str, options: "StatesOptions") -> str:
    """Write the states that `options` ask for, as Gaussians or atoms; a line about it."""
    from cryomix.commands.carried_model import carry_model
    from cryomix.commands.decoded_states import decode_states
    from cryomix.files.pseudo_atoms import (
        require_gemmi,
        write_gaussian_table,
        write_pseudo_atoms,
    )

    if options.b_factor != "amplitude" and (to == "csv" or options.atoms is not None):
        raise OptionError("--b-factor: is of Gaussians in .cif and .pdb")
    if to != "csv":
        require_gemmi(out)
    if options.atoms is not None:
        return carry_model(job, out, to, options)
    states = decode_states(job, options)
    if to == "csv":
        write_gaussian_table(out, states.models, states.frame)
    else:
        write_pseudo_atoms(out, states.models, states.frame, _factors(states.models, options))
    count = f"{len(states)} models" if len(states) > 1 else "1 model"
    return f"{out}: {count} of {len(states.models)} Gaussians ({states.source})"


def _factors(
    models: "GaussianModel", options: "StatesOptions"
) -> "Float[np.ndarray, 'models gaussians']":
    from cryomix.files.pseudo_atoms import amplitude_factors, displacement_factors

    if options.b_factor == "amplitude":
        return amplitude_factors(models)
    if len(models.center) < 2:
        raise OptionError("--b-factor displacement: needs several states, got one")
    return displacement_factors(models)
