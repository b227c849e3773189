"""The particle rows of a RELION file, joined with the optics group of each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.star import StarFile, read_star
from cryomix.files.star_block import StarBlock, is_number, split_row


@dataclass(frozen=True, slots=True)
class RelionTable:
    """Numbers per particle; a column of the particles goes before one of the optics groups.

    Attributes
    ----------
    star
        The whole file.
    particles, optics
        Its blocks; files older than RELION 3.1 have no optics block.
    group
        Row of `optics` of each particle.
    numbers
        Those of the wanted columns that are present, one value per particle.
    """

    star: StarFile
    particles: StarBlock
    optics: StarBlock | None
    group: Int64[np.ndarray, "particles"]
    numbers: dict[str, Float[np.ndarray, "particles"]]

    def __len__(self) -> int:
        """Number of particles."""
        return len(self.particles)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.star.path

    def has(self, *labels: str) -> bool:
        """Whether all of these are present."""
        return all(label in self.numbers for label in labels)

    def require(self, needs: Iterable[tuple[tuple[str, ...], ...]]) -> None:
        """Refuse the file unless it has each of `needs`: one of several sets of columns.

        Raises
        ------
        MissingColumnError
            Naming every column that is missing.
        """
        lacking = [
            _spelled(choices) for choices in needs if not any(self.has(*set_) for set_ in choices)
        ]
        if lacking:
            blocks = f"data_{self.particles.name}"
            if self.optics is not None:
                blocks += f" (with data_{self.optics.name})"
            raise MissingColumnError(f"{self.path}: {blocks} lacks {', '.join(lacking)}")

    def place_of(self, row: int) -> str:
        """The optics group of a particle, or its row where there are none, for messages."""
        if self.optics is None:
            return f"row {row + 1}"
        name = "rlnOpticsGroupName" if self.optics.has("rlnOpticsGroupName") else "rlnOpticsGroup"
        return f"optics group {self.optics.column(name)[self.group[row]]}"


def read_table(path: Path, wanted: Sequence[str]) -> RelionTable:
    """The particles of a RELION 3.0, 3.1 or 5 file.

    Raises
    ------
    InputFileError
        If there are no particles, or a wanted value is not a finite number.
    MissingColumnError
        If no block names images.
    """
    star = read_star(path)
    particles = particle_block(star)
    if len(particles) == 0:
        raise InputFileError(f"{path}: data_{particles.name} must hold particles, got 0 rows")
    optics = star.block("optics") if star.has("optics") else None
    group = np.zeros(len(particles), np.int64)
    numbers: dict[str, Float[np.ndarray, "particles"]] = {}
    if optics is not None:
        group = _optics_rows(particles, optics)
        for label, values in _finite_columns(optics, wanted).items():
            numbers[label] = values[group]
    return RelionTable(star, particles, optics, group, numbers | _finite_columns(particles, wanted))


def particle_block(star: StarFile) -> StarBlock:
    """The block that names images: ``data_particles``, or the only one of old files."""
    for block in sorted(star.blocks, key=lambda block: block.name != "particles"):
        if block.has("rlnImageName"):
            return block
    raise MissingColumnError(f"{star.path}: no block has _rlnImageName, so it lists no particles")


def columns_of_numbers(path: Path) -> dict[str, bool]:
    """Labels of the particles, and whether the first value is a number; only the head is read.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    labels: list[str] = []
    try:
        with path.open("rb") as file:
            for line in file:
                words = split_row(line)
                if not words or words[0].startswith(b"#"):
                    continue
                if words[0].startswith(b"data_"):
                    labels = []
                elif words[0].startswith(b"_") and (len(words) == 1 or words[1][:1] == b"#"):
                    labels.append(words[0][1:].decode("utf-8", "surrogateescape"))
                elif "rlnImageName" in labels:
                    return {
                        label: is_number(word) for label, word in zip(labels, words, strict=False)
                    }
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    return {}


def _finite_columns(
    block: StarBlock, wanted: Sequence[str]
) -> dict[str, Float[np.ndarray, "rows"]]:
    columns = block.float_columns([label for label in wanted if block.has(label)])
    for label, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            raise InputFileError(
                f"{block.path}: _{label} must be finite, got {values[bad[0]]} "
                f"in {block.line_of(int(bad[0]))}"
            )
    return columns


def _optics_rows(particles: StarBlock, optics: StarBlock) -> Int64[np.ndarray, "particles"]:
    if len(optics) == 0:
        raise InputFileError(f"{optics.path}: data_optics must hold optics groups, got 0 rows")
    if len(optics) == 1 and not particles.has("rlnOpticsGroup"):
        return np.zeros(len(particles), np.int64)
    known = optics.floats("rlnOpticsGroup")
    used = particles.floats("rlnOpticsGroup")
    order = np.argsort(known)
    place = np.searchsorted(known[order], used).clip(max=len(known) - 1)
    rows = order[place]
    unknown = np.flatnonzero(known[rows] != used)
    if len(unknown):
        raise InputFileError(
            f"{particles.path}: optics group {used[unknown[0]]:g} of "
            f"{particles.line_of(int(unknown[0]))} is not in data_optics"
        )
    return rows


def _spelled(choices: Sequence[Sequence[str]]) -> str:
    first, *others = [" with ".join(f"_{label}" for label in labels) for labels in choices]
    return first + (f" (or {', or '.join(others)})" if others else "")
