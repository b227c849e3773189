"""cryomix: how a molecule moves and what it is made of, from cryo-EM single particles.

The public names are loaded when they are first used, because most of them need PyTorch and
``cryomix --help`` must not wait for it (docs/decisions/0010).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryomix.errors import CryomixError
    from cryomix.files.mrc import MrcStack, read_volume, write_volume
    from cryomix.files.particle_file import read_particles, write_particles
    from cryomix.geometry.fourier import FourierGrid, to_fourier, to_real
    from cryomix.geometry.poses import Poses, euler_to_rotation, rotation_to_euler
    from cryomix.imaging.correlation import ring_correlation, shell_correlation
    from cryomix.imaging.ctf import Ctf, evaluate_ctf
    from cryomix.imaging.gaussians import GaussianModel, render_volume, select_inside
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.projection import project_gaussians
    from cryomix.imaging.volume import Volume, project_volume
    from cryomix.simulation import simulate_particles

__version__ = "0.1.0"

__all__ = [
    "CryomixError",
    "Ctf",
    "FourierGrid",
    "GaussianModel",
    "MrcStack",
    "Particles",
    "Poses",
    "Volume",
    "euler_to_rotation",
    "evaluate_ctf",
    "project_gaussians",
    "project_volume",
    "read_particles",
    "read_volume",
    "render_volume",
    "ring_correlation",
    "rotation_to_euler",
    "select_inside",
    "shell_correlation",
    "simulate_particles",
    "to_fourier",
    "to_real",
    "write_particles",
    "write_volume",
]

_HOME = {
    "cryomix.errors": ("CryomixError",),
    "cryomix.files.mrc": ("MrcStack", "read_volume", "write_volume"),
    "cryomix.files.particle_file": ("read_particles", "write_particles"),
    "cryomix.geometry.fourier": ("FourierGrid", "to_fourier", "to_real"),
    "cryomix.geometry.poses": ("Poses", "euler_to_rotation", "rotation_to_euler"),
    "cryomix.imaging.correlation": ("ring_correlation", "shell_correlation"),
    "cryomix.imaging.ctf": ("Ctf", "evaluate_ctf"),
    "cryomix.imaging.gaussians": ("GaussianModel", "render_volume", "select_inside"),
    "cryomix.imaging.particles": ("Particles",),
    "cryomix.imaging.projection": ("project_gaussians",),
    "cryomix.imaging.volume": ("Volume", "project_volume"),
    "cryomix.simulation": ("simulate_particles",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'cryomix' has no attribute {name!r}")
    return getattr(import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
