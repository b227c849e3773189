"""What is true of simulated particles, as other programs' scorers read it (.npz)."""

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cryomix.errors import InputFileError
from cryomix.files.atomic import write_atomically
from cryomix.files.compressed import LARGEST_DECOMPRESSED, read_beginning
from cryomix.files.number_array import read_numbers
from cryomix.geometry.poses import rotation_to_euler
from cryomix.simulation import Simulation


def write_truth(path: Path, simulation: Simulation) -> None:
    """Write state, coordinate and true pose of each particle, and the Gaussians of each state.

    ``which`` is the state of each particle, ``t`` its coordinate (absent where nothing moves),
    ``a`` and ``b`` those of two motions, ``a`` the same as ``t``, and ``c`` whether it has the
    ligand; ``euler`` (degrees) and ``origin`` (Å) have RELION's signs; ``amps`` are the masses
    of the Gaussians at ``states``, in any unit, all of width ``sigma``.
    """
    molecule, state, particles = simulation.molecule, simulation.state, simulation.particles
    content = {
        "cyclic": np.array(molecule.cyclic),
        "which": state.numpy(),
        "euler": rotation_to_euler(simulation.poses.rotation.double()).numpy(),
        "origin": -simulation.poses.shift.numpy(),
        "states": molecule.states.center.numpy(),
        "amps": molecule.states.amplitude.numpy(),
        "sigma": np.array(molecule.width),
        "apix": np.array(particles.pixel_size),
        "box": np.array(particles.box_size),
        "moving": molecule.moving.numpy(),
    }
    if molecule.coordinate.any():
        content["t"] = molecule.coordinate[state].numpy()
    if molecule.second_coordinate is not None:
        content["a"] = molecule.coordinate[state].numpy()
        content["b"] = molecule.second_coordinate[state].numpy()
    if molecule.has_ligand is not None:
        content["c"] = molecule.has_ligand[state].numpy()
    # zipfile seeks while it writes; the atomic file takes the finished bytes.
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **content)
    with write_atomically(path) as file:
        file.write(packed.getvalue())


def read_truth(path: Path) -> Mapping[str, np.ndarray]:
    """All arrays of a truth file; see `read_arrays`."""
    return read_arrays(path, "a truth")


def read_arrays(path: Path, what: str) -> Mapping[str, np.ndarray]:
    """All arrays of an .npz file; nothing is unpickled.

    Raises
    ------
    InputFileError
        If the file is missing, is no .npz, or holds anything but numbers and text; the message
        says `what` it should have been.
    """
    if not path.exists():
        raise InputFileError(f"{path}: there is no such file")
    try:
        if read_beginning(path, 6) == b"\x93NUMPY":
            raise InputFileError(f"{path}: {what} must be an .npz file, got one array")
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if sum(info.file_size for info in members) > LARGEST_DECOMPRESSED:
                raise InputFileError(
                    f"{path}: {what} must have at most {LARGEST_DECOMPRESSED // 2**30} GiB"
                )
            return {
                info.filename.removesuffix(".npy"): _read_member(archive, info) for info in members
            }
    except InputFileError:
        raise
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _MALFORMED as error:
        reason = str(error).splitlines()[0] if str(error) else "it is truncated"
        raise InputFileError(f"{path}: not an .npz file of numbers: {reason}") from error


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        return read_numbers(file, info.file_size)


# What the standard library raises at an archive that is malformed, encrypted or of another method.
_MALFORMED = (
    ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError,
)  # fmt: skip
