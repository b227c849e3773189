"""DCD trajectories, as CHARMM, NAMD and OpenMM write them."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from cryomix.errors import DataWarning, InputFileError

_HEADER_BYTES = 84
_MARKER = 4  # bytes before and after each record that say how long it is
_FRAMES, _FIXED, _HAS_CELL, _HAS_FOURTH, _VERSION = 0, 8, 10, 11, 19
_CELL_BYTES = 48


@dataclass(frozen=True, slots=True)
class DcdTrajectory:
    """A trajectory whose frames are read one by one.

    Attributes
    ----------
    path
        Its file.
    frames
        As many as the file holds, whatever its header promises.
    atoms
        Of each frame.
    """

    path: Path
    frames: int
    atoms: int
    _order: str
    _start: int
    _cell: int
    _stride: int

    def read(self, index: Int64[np.ndarray, "chosen"]) -> Float32[np.ndarray, "chosen atoms 3"]:
        """The frames at `index`, Å.

        Raises
        ------
        InputFileError
            If a record is not as long as its frame needs, or a position is not finite.
        """
        position = np.empty((len(index), self.atoms, 3), np.float32)
        with self.path.open("rb") as file:
            for place, frame in enumerate(index):
                file.seek(self._start + int(frame) * self._stride)
                content = file.read(self._stride)
                position[place] = self._decode(content, int(frame))
        return position

    def _decode(self, content: bytes, frame: int) -> Float32[np.ndarray, "atoms 3"]:
        record = self.atoms * 4 + 2 * _MARKER
        integer, real = np.dtype(f"{self._order}i4"), np.dtype(f"{self._order}f4")
        axes = []
        for axis in range(3):
            start = self._cell + axis * record
            part = content[start : start + record]
            lengths = {int(np.frombuffer(part, integer, 1, at)[0]) for at in (0, record - _MARKER)}
            if lengths != {self.atoms * 4}:
                raise InputFileError(
                    f"{self.path}: frame {frame + 1}: a record of {self.atoms} atoms must have "
                    f"{self.atoms * 4} bytes, got {max(lengths - {self.atoms * 4})}"
                )
            axes.append(np.frombuffer(part, real, self.atoms, _MARKER))
        position = np.stack(axes, axis=1).astype(np.float32)
        if not np.isfinite(position).all():
            raise InputFileError(
                f"{self.path}: frame {frame + 1}: positions must be finite, got NaN or infinity"
            )
        return position


def open_dcd(path: Path) -> DcdTrajectory:
    """A trajectory, of which only the header is read.

    Raises
    ------
    InputFileError
        If the file is missing, is no DCD, keeps some atoms fixed, or ends within a frame.

    Warns
    -----
    DataWarning
        If the header promises more frames than there are.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES + 2 * _MARKER)
            order = _byte_order(path, head)
            control = np.frombuffer(head, f"{order}i4", 20, 8)
            title = _record_length(path, file.read(_MARKER), order)
            file.seek(title + _MARKER, 1)
            _require(path, _record_length(path, file.read(_MARKER), order) == 4, "an atom count")
            atoms = _record_length(path, file.read(_MARKER), order)
            file.seek(_MARKER, 1)
            start = file.tell()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if control[_FIXED]:
        raise InputFileError(f"{path}: all atoms must move, got {control[_FIXED]} fixed ones")
    _require(path, atoms > 0, "atoms")
    is_charmm = bool(control[_VERSION])  # X-PLOR's own files have neither cell nor fourth axis
    cell = _CELL_BYTES + 2 * _MARKER if is_charmm and control[_HAS_CELL] else 0
    axes = 4 if is_charmm and control[_HAS_FOURTH] else 3
    stride = cell + axes * (atoms * 4 + 2 * _MARKER)
    frames, rest = divmod(size - start, stride)
    if rest or frames < 1:
        raise InputFileError(
            f"{path}: truncated: frames of {atoms} atoms have {stride} bytes each, got "
            f"{size - start} bytes, which are {frames} frames and {rest} bytes"
        )
    if control[_FRAMES] > frames:
        warnings.warn(
            f"{path}: its {frames} frames are used, although its header promises "
            f"{control[_FRAMES]}",
            DataWarning,
            stacklevel=2,
        )
    return DcdTrajectory(path, int(frames), atoms, order, start, cell, stride)


def _byte_order(path: Path, head: bytes) -> str:
    for order in "<>":
        if len(head) == _HEADER_BYTES + 2 * _MARKER and head[4:8] == b"CORD":
            ends = np.frombuffer(head, f"{order}i4")
            if ends[0] == ends[-1] == _HEADER_BYTES:
                return order
    raise InputFileError(f"{path}: not a DCD trajectory: it must begin with a record 'CORD' of 84")


def _record_length(path: Path, content: bytes, order: str) -> int:
    _require(path, len(content) == _MARKER, "a complete header")
    length = int(np.frombuffer(content, f"{order}i4")[0])
    _require(path, length >= 0, "records of positive length")
    return length


def _require(path: Path, condition: bool, what: str) -> None:
    if not condition:
        raise InputFileError(f"{path}: not a DCD trajectory: it must have {what}")
