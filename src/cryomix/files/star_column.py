"""One column of the particles of a STAR file, read without holding the file in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int32

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.star import checked_row, is_blank, is_label, parse_block
from cryomix.files.star_block import StarBlock, is_number, split_row
from cryomix.files.text_column import TextColumn, TextNumbers

_LINES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the rows of a block begin and end, in bytes, and the line number of the first."""

    block: StarBlock
    start: int
    stop: int
    line: int


def read_number_column(path: Path, label: str) -> Float64[np.ndarray, "particles"]:
    """A column of the particles as numbers.

    Raises
    ------
    MissingColumnError
        If no block lists particles as a loop, or it lacks the column.
    InputFileError
        If the file is malformed, or a value is not a finite number.
    """
    parts: list[Float64[np.ndarray, "rows"]] = []
    before = 0
    for tokens in _tokens(path, label):
        try:
            values = np.fromiter(map(float, tokens), np.float64, len(tokens))
        except ValueError:
            values = np.array([float(token) if is_number(token) else np.nan for token in tokens])
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad):
            told = tokens[bad[0]].decode("utf-8", "replace")
            raise InputFileError(
                f"{path}: _{label} must be a finite number, got {told!r:.40} "
                f"in row {before + bad[0] + 1} of the particles"
            )
        parts.append(values)
        before += len(values)
    return np.concatenate(parts) if parts else np.empty(0)


def read_text_column(path: Path, label: str) -> TextColumn:
    """A column of the particles as texts, each different one held once; raises as the other."""
    numbers = TextNumbers(path, label)
    parts: list[Int32[np.ndarray, "rows"]] = [
        numbers.of(token.decode("utf-8", "surrogateescape") for token in tokens)
        for tokens in _tokens(path, label)
    ]
    return numbers.column(parts)


def _tokens(path: Path, label: str) -> Iterator[list[bytes]]:
    """The values of some thousand rows at a time."""
    try:
        with path.open("rb") as file:
            place = _find_particles(path, file)
            block = place.block
            if not block.has(label):
                raise MissingColumnError(f"{path}: data_{block.name} lacks _{label}")
            width, position = len(block.labels), block.labels.index(label)
            file.seek(place.start)
            left, number = place.stop - place.start, place.line
            while left > 0:
                lines = list(islice(file, _LINES_AT_ONCE))
                if not lines:
                    raise InputFileError(f"{path}: has become shorter while it was read")
                found = []
                for line in lines:
                    left -= len(line)
                    if left < 0:
                        break
                    words = split_row(line)
                    if len(words) != width:
                        if is_blank(line):
                            number += 1
                            continue
                        words = split_row(checked_row(path, block.name, line, width, number))
                    found.append(words[position])
                    number += 1
                yield found
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _find_particles(path: Path, file: Iterator[bytes]) -> _Place:
    """The loop that names images: ``data_particles``, or the only one of old files."""
    places: list[_Place] = []
    for place in _loops(path, file):
        if place.block.has("rlnImageName"):
            places.append(place)
    for place in sorted(places, key=lambda place: place.block.name != "particles"):
        return place
    raise MissingColumnError(f"{path}: no loop has _rlnImageName, so it lists no particles")


def _loops(path: Path, file: Iterator[bytes]) -> Iterator[_Place]:
    """All loops with rows; of their rows only where they are."""
    head: list[bytes] = []  # of the block that begins
    found: tuple[StarBlock, int, int] | None = None
    offset = first = 0
    for number, raw in enumerate(file, start=1):
        line = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
        if line.lstrip().startswith(b"data_"):
            words = line.split()
            if len(words) == 1 or words[1].startswith(b"#"):
                if found is not None:
                    yield _Place(found[0], found[1], offset, found[2])
                head, found, first = [line], None, number
        elif head:
            if is_blank(line) or line.strip() == b"loop_" or is_label(line, numbered=None):
                head.append(line)
            else:
                block = parse_block(path, [text.rstrip(b"\r\n") for text in head], first)
                head = []
                found = (block, offset, number) if block.is_loop else None
        offset += len(raw)
    if found is not None:
        yield _Place(found[0], found[1], offset, found[2])
