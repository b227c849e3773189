"""Which Gaussians may vary: those in the masks or selections that a user gives."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.particles import Particles
    from cryomix.options import TrainingOptions

Focus = Annotated[
    tuple[Path, ...],
    Parameter(
        help="only Gaussians in this mask (MRC, 0 to 1), or of these numbers (.npy), vary; given "
        "again: groups with latents of their own",
        show_default=False,
    ),
]


def require_focus(
    paths: Sequence[Path],
    particles: "Particles",
    options: "TrainingOptions",
    model: "GaussianModel | None" = None,
) -> None:
    """Refuse, before anything is done, what `read_focus` would refuse.

    Raises
    ------
    OptionError
        If the latents cannot be shared out among the groups, or a selection of Gaussians is given
        where there is no `model` yet.
    """
    from cryomix.errors import OptionError
    from cryomix.files.agreement import read_consensus

    if paths and options.latent_size % len(paths):
        raise OptionError(
            f"--latent-dim must be a multiple of {len(paths)}, the number of --focus, got "
            f"{options.latent_size}"
        )
    if model is not None:
        read_focus(paths, model, len(model), particles)
        return
    for path in paths:
        if path.suffix == ".npy":
            raise OptionError(
                f"--focus {path}: numbers of Gaussians need a neutral model that is there already; "
                "use `cryomix neutral` and `train`"
            )
        read_consensus(path, particles)


def describe_focus(paths: Sequence[Path]) -> dict[str, object]:
    """As run.toml keeps it; nothing where all vary."""
    return {"focus": [str(path.resolve()) for path in paths]} if paths else {}


def read_focus(
    paths: Sequence[Path], model: "GaussianModel", fitted: int, particles: "Particles"
) -> "Float[Tensor, 'groups gaussians'] | None":
    """How far each Gaussian of `model` may vary with each of `paths`, 0 to 1; None without paths.

    A mask counts by its value at the centre of a Gaussian. A selection, which holds numbers from 0
    or true and false, is one of the first `fitted`: those that were added later are not in it.

    Raises
    ------
    InputFileError
        If a mask is not 0 to 1, a selection does not fit, or either holds no Gaussian.
    BoxMismatchError
        If a mask has not the box and pixel size of the particles.
    """
    import torch

    if not paths:
        return None
    return torch.stack([read_weight(path, model, fitted, particles) for path in paths])


def read_weight(
    path: Path, model: "GaussianModel", fitted: int, particles: "Particles"
) -> "Float[Tensor, 'gaussians']":
    """How far each Gaussian is in one mask or selection, 0 to 1; raises as `read_focus` does."""
    if path.suffix == ".npy":
        return _read_selection(path, model, fitted)
    return _read_mask(path, model, particles)


def _read_mask(
    path: Path, model: "GaussianModel", particles: "Particles"
) -> "Float[Tensor, 'gaussians']":
    from cryomix.errors import InputFileError
    from cryomix.files.agreement import read_consensus
    from cryomix.imaging.gaussians import mask_values

    mask = read_consensus(path, particles)
    low, high = float(mask.density.min()), float(mask.density.max())
    if low < -0.01 or high > 1.01:
        raise InputFileError(f"{path}: a mask must be between 0 and 1, got {low:g} to {high:g}")
    return _require_some(mask_values(model, mask).clamp(0, 1), path)


def _read_selection(
    path: Path, model: "GaussianModel", fitted: int
) -> "Float[Tensor, 'gaussians']":
    import torch

    from cryomix.errors import InputFileError
    from cryomix.files.checkpoint import read_array

    chosen = read_array(path)
    kind = chosen.dtype.kind
    if chosen.ndim != 1 or kind not in "biu" or (kind == "b" and len(chosen) != fitted):
        raise InputFileError(
            f"{path}: must hold numbers of Gaussians, or true or false for each of {fitted}, got "
            f"{chosen.dtype} of shape {chosen.shape}"
        )
    if kind != "b" and len(chosen) and not 0 <= chosen.min() <= chosen.max() < fitted:
        raise InputFileError(
            f"{path}: Gaussians are numbered from 0 to {fitted - 1}, got {chosen.min()} to "
            f"{chosen.max()}"
        )
    index = torch.from_numpy(chosen if kind == "b" else chosen.astype("int64"))
    weight = torch.zeros(len(model))
    weight[:fitted][index] = 1.0
    return _require_some(weight, path)


def _require_some(weight: "Float[Tensor, 'gaussians']", path: Path) -> "Float[Tensor, 'gaussians']":
    from cryomix.errors import InputFileError

    if not bool((weight > 0.5).any()):
        raise InputFileError(f"{path}: must hold Gaussians of the neutral model, got none")
    return weight
