"""The rows of a cryoSPARC file, joined by uid with the passthrough files beside it."""

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64, Integer, Shaped

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.array_header import HEADER_BYTES, ArrayHeader, parse_array_header
from cryomix.files.atomic import write_atomically

UID = "uid"
_PASSTHROUGH = "*passthrough_particles*.cs"
_COMPRESSED = b"CSDAT"
_ROWS_AT_ONCE = 2**15


@dataclass(frozen=True, slots=True)
class CryosparcTable:
    """Named fields, one value or vector per particle.

    Attributes
    ----------
    path
        Of the file.
    rows
        Its rows in its order: a structured array of its fields, then those of passthrough files.
    own
        Fields that the file itself has.
    notes
        Why a passthrough file was not used, or that there is none; for messages.
    """

    path: Path
    rows: Shaped[np.ndarray, "particles"]
    own: frozenset[str]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of particles."""
        return len(self.rows)

    def has(self, *names: str) -> bool:
        """Whether all of these fields are present."""
        return all(name in (_names(self.rows)) for name in names)

    def require(self, names: Iterable[str]) -> None:
        """Refuse the file unless it has these fields.

        Raises
        ------
        MissingColumnError
            Naming every field that is missing, and where it was looked for.
        """
        lacking = [name for name in names if not self.has(name)]
        if lacking:
            looked = f" ({'; '.join(self.notes)})" if self.notes else ""
            raise MissingColumnError(f"{self.path}: lacks {', '.join(lacking)}{looked}")

    def numbers(self, name: str, width: int = 1) -> Float64[np.ndarray, "particles width"]:
        """A field of `width` numbers per particle.

        Raises
        ------
        InputFileError
            If it holds something else, or a value is not finite.
        """
        field = self.rows[name]
        if field.dtype.kind not in "fiub" or field[:1].size != width * len(field[:1]):
            raise InputFileError(
                f"{self.path}: {name} must hold {width} number{'s' * (width > 1)} per particle, "
                f"got {self.rows.dtype[name]}"
            )
        with np.errstate(invalid="ignore"):  # some NaN are told of by the processor, too
            values: np.ndarray = field.reshape(len(self), width).astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise InputFileError(
                f"{self.path}: {name} must be finite, got {values[bad[0]].tolist()} "
                f"in row {bad[0] + 1}"
            )
        return values

    def in_range(
        self, name: str, *, above: float, below: float = np.inf
    ) -> Float64[np.ndarray, "particles"]:
        """A field of one number per particle, between two others.

        Raises
        ------
        InputFileError
            If a value is not.
        """
        values = self.numbers(name)[:, 0]
        bad = np.flatnonzero((values <= above) | (values >= below))
        if len(bad):
            rule = f"above {above:g}" if below == np.inf else f"between {above:g} and {below:g}"
            raise InputFileError(
                f"{self.path}: {name} must be {rule}, got {values[bad[0]]:g} in row {bad[0] + 1}"
            )
        return values


def read_table(path: Path, wanted: Sequence[str]) -> CryosparcTable:
    """The particles of a cryoSPARC file.

    A job of cryoSPARC writes what it found itself into one file and what it was given into
    another beside it, whose name has ``passthrough_particles`` in it. For fields of `wanted` that
    the file lacks, these are looked at: first those that end as `path` does. One that has all
    uids of the file, in any order, adds all its fields that are not there yet.

    Raises
    ------
    InputFileError
        If a file is no such table, is shorter or longer than its header says, or holds no
        particles; or if a uid is twice in a passthrough file.
    MissingColumnError
        If the file has no uid.
    """
    rows = read_rows(path)
    if len(rows) == 0:
        raise InputFileError(f"{path}: must hold particles, got 0 rows")
    own = frozenset(_names(rows))
    if not _has_uid(rows.dtype):
        raise MissingColumnError(f"{path}: lacks uid, by which cryoSPARC knows its particles")
    notes = []
    for file in _passthrough_files(path):
        lacking = [name for name in wanted if name not in _names(rows)]
        if not lacking:
            break
        dtype = _read_header(file).dtype
        if not _has_uid(dtype) or not set(dtype.names or ()).intersection(lacking):
            notes.append(f"{file.name} has none of it")
            continue
        given = read_rows(file)
        place = _places(rows[UID], given[UID], file)
        missing = int((place < 0).sum())
        if missing:
            notes.append(f"{file.name} lacks {missing} of {len(rows)} uids")
            continue
        more = [name for name in _names(given) if name not in _names(rows)]
        rows = with_fields(rows, {name: given[name][place] for name in more})
    if _is_passthrough(path):
        notes.append("it is a passthrough file: give the one of the job's own results")
    elif not notes and any(name not in _names(rows) for name in wanted):
        notes.append(f"no {_PASSTHROUGH} beside it has more")
    return CryosparcTable(path, rows, own, tuple(notes))


def read_fields(path: Path) -> "dict[str, np.dtype[np.generic]]":
    """Names and types of the fields of one file, of which only the head is read."""
    dtype = _read_header(path).dtype
    return {name: dtype[name] for name in dtype.names or ()}


def read_field(path: Path, name: str) -> Iterator[Shaped[np.ndarray, "rows *width"]]:
    """A field of one file, some rows at a time, so that the file is never held in memory."""
    header = _read_header(path)
    try:
        _require_size(path, header)
        with path.open("rb") as file:
            file.seek(header.data_offset)
            for start in range(0, header.rows, _ROWS_AT_ONCE):
                count = min(_ROWS_AT_ONCE, header.rows - start)
                rows = np.fromfile(file, header.dtype, count)
                if len(rows) != count:
                    raise InputFileError(f"{path}: has become shorter while it was read")
                yield rows[name].copy()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def read_rows(path: Path) -> Shaped[np.ndarray, "rows"]:
    """All rows of one file as a structured array; nothing is unpickled."""
    header = _read_header(path)
    try:
        _require_size(path, header)
        rows = np.fromfile(path, header.dtype, header.rows, offset=header.data_offset)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(rows) != header.rows:
        raise InputFileError(f"{path}: has become shorter: {len(rows)} of {header.rows} rows")
    return rows


def write_rows(path: Path, rows: Shaped[np.ndarray, "rows"]) -> None:
    """Write a table as cryoSPARC's programs read it."""
    with write_atomically(path) as file, warnings.catch_warnings():
        # Of long headers and of names that are not Latin, which need a younger format.
        warnings.simplefilter("ignore", UserWarning)
        np.lib.format.write_array(file, rows, allow_pickle=False)


def with_fields(
    rows: Shaped[np.ndarray, "rows"], added: Mapping[str, Shaped[np.ndarray, "rows *width"]]
) -> Shaped[np.ndarray, "rows"]:
    """The same rows with more fields; one that is there already is replaced in its own type."""
    fields: list[tuple[str, np.dtype, tuple[int, ...]]] = []
    for name in _names(rows):
        base, shape = rows.dtype[name].base, rows.dtype[name].shape
        if name in added:
            shape = added[name].shape[1:]
        fields.append((name, base, shape))
    known = {name for name, _, _ in fields}
    fields += [
        (name, values.dtype, values.shape[1:])
        for name, values in added.items()
        if name not in known
    ]
    extended = np.empty(len(rows), np.dtype(fields))
    for name, _, _ in fields:
        extended[name] = added[name] if name in added else rows[name]
    return extended


def _has_uid(dtype: "np.dtype[np.void]") -> bool:
    return UID in (dtype.names or ()) and dtype[UID].kind in "iu"


def _names(rows: Shaped[np.ndarray, "rows"]) -> tuple[str, ...]:
    return rows.dtype.names or ()


def _require_size(path: Path, header: ArrayHeader) -> None:
    found = path.stat().st_size
    if found != header.file_bytes:
        size = "truncated" if found < header.file_bytes else "longer than it should be"
        raise InputFileError(
            f"{path}: {size}: its header promises {header.rows} rows in {header.file_bytes} "
            f"bytes, there are {found}"
        )


def _read_header(path: Path) -> ArrayHeader:
    try:
        with path.open("rb") as file:
            content = file.read(HEADER_BYTES)
    except FileNotFoundError as error:
        raise InputFileError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if content[1:6] == _COMPRESSED:
        raise InputFileError(
            f"{path}: is in cryoSPARC's compressed format, which is not read; write it anew with "
            "cryosparc-tools: Dataset.load(OLD).save(NEW)"
        )
    return parse_array_header(content, path)


def _passthrough_files(path: Path) -> Iterator[Path]:
    """Those beside `path` and, if it is a link, beside the file itself."""
    ending = _ending(path)
    for folder in dict.fromkeys((path.parent, path.resolve().parent)):
        files = [file for file in folder.glob(_PASSTHROUGH) if file.name != path.name]
        yield from sorted(files, key=lambda file: (_ending(file) != ending, file.name))


def _is_passthrough(path: Path) -> bool:
    return fnmatch(path.name, _PASSTHROUGH)


def _ending(path: Path) -> str:
    """``_selected`` of ``particles_selected.cs``: the group of a job's output."""
    return re.sub(r"^.*particles", "", path.stem)


def _places(
    wanted: Integer[np.ndarray, "wanted"], known: Integer[np.ndarray, "known"], file: Path
) -> Int64[np.ndarray, "wanted"]:
    """Row of `known` of each uid; -1 where it is not there."""
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise InputFileError(f"{file}: a uid must be there once, {ordered[twice[0]]} is not")
    if not len(known):
        return np.full(len(wanted), -1)
    place = np.searchsorted(ordered, wanted).clip(max=len(known) - 1)
    return np.where(ordered[place] == wanted, order[place], -1)
