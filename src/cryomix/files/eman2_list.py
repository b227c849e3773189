"""EMAN2's lists of images (.lst): which image of which file, and what is said of it in JSON."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Float64, Int64

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.atomic import write_atomically
from cryomix.files.text_column import TextColumn, TextNumbers

_LONGEST_LINE = 2**20
_MOST_BRACKETS = 200  # of one row's JSON, which bounds how deep it nests
_MOST_DIGITS = 9
_COMMENT = "# All lines after the next have as many characters as that line says, with its end."
# What EMAN2 before 2021 wrote in the place of JSON, and read by running it as Python.
_OLD_VALUES = re.compile(r"\{'|Transform\(|-?[\d.e+-]+;Transform")


@dataclass(frozen=True, slots=True)
class ImageList:
    """Rows of a list, in its order; what is said of each stays text until it is asked for.

    Attributes
    ----------
    path
        Where it was read.
    comment
        Second line of the file.
    line_bytes
        Length of a row with its end, or 0 where rows are as long as they need be.
    number
        Place of each image in its file, from 0.
    stack
        Index into `stacks`.
    stacks
        Names of files as they are written, each once.
    values
        JSON of each row, other text, or nothing.
    """

    path: Path
    comment: str
    line_bytes: int
    number: Int64[np.ndarray, "rows"]
    stack: Int64[np.ndarray, "rows"]
    stacks: tuple[str, ...]
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)

    def record(self, row: int) -> dict[str, object]:
        """What is said of one row; nothing if that is no JSON but a comment.

        Raises
        ------
        InputFileError
            If it is malformed JSON or no object, nests too deep, or is of an old version.
        """
        text = self.values[row]
        if _OLD_VALUES.match(text) or (text and self.comment.startswith("#keys:")):
            raise self.malformed(
                row, "values of an old version of EMAN2: write the list anew with e2proclst.py"
            )
        if not text.startswith("{"):
            return {}
        if text.count("{") + text.count("[") > _MOST_BRACKETS:
            raise self.malformed(row, f"JSON must have at most {_MOST_BRACKETS} brackets")
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.malformed(row, f"malformed JSON: {error}") from error

    def numbers(self, key: str) -> Float64[np.ndarray, "rows"]:
        """What each row says under a key.

        Raises
        ------
        MissingColumnError
            If a row says nothing there.
        InputFileError
            If it is no finite number.
        """
        values = np.empty(len(self))
        for row in range(len(self)):
            value = self.record(row).get(key)
            if value is None:
                raise MissingColumnError(f"{self.path}: row {row + 1} has no {key}")
            if not isinstance(value, int | float) or not np.isfinite(value):
                raise self.malformed(row, f"{key} must be a finite number, got {value!r:.40}")
            values[row] = value
        return values

    def texts(self, key: str) -> TextColumn:
        """What each row says under a key, as text; nothing where it says nothing."""
        numbers = TextNumbers(self.path, key)
        said = (self.record(row).get(key, "") for row in range(len(self)))
        return numbers.column([numbers.of(str(value) for value in said)])

    def columns_of_numbers(self) -> dict[str, bool]:
        """Keys of the first row with one value: whether each is a number, rather than a text."""
        first = self.record(0) if len(self) else {}
        single = {
            key: value for key, value in first.items() if isinstance(value, str | int | float)
        }
        return {key: not isinstance(value, str | bool) for key, value in single.items()}

    def malformed(self, row: int, what: str) -> InputFileError:
        """An error that names a row, from 1."""
        return InputFileError(f"{self.path}: row {row + 1}: {what}")

    def selected(self, rows: Int64[np.ndarray, "selected"]) -> "ImageList":
        """Some rows, in another order if need be; names of files that are left out too stay."""
        values = tuple(self.values[row] for row in rows.tolist())
        return replace(self, number=self.number[rows], stack=self.stack[rows], values=values)

    def extended(
        self, added: Mapping[str, Sequence[object]], without: Sequence[str] = ()
    ) -> "ImageList":
        """The same rows with more keys; one that is there already gets the new value.

        Parameters
        ----------
        added
            Key → one value that JSON can hold per row.
        without
            Keys that are left out.
        """
        values = []
        for row, text in enumerate(self.values):
            record = self.record(row)
            if text and not text.startswith("{"):
                record = {"lst_comment": text}
            for key in without:
                record.pop(key, None)
            record |= {key: column[row] for key, column in added.items()}
            values.append(json.dumps(record, separators=(",", ":")))
        return replace(self, values=tuple(values))


def list_images(path: Path, stack: str, count: int) -> ImageList:
    """A list of all images of one file."""
    number, nothing = np.arange(count), ("",) * count
    return ImageList(path, _COMMENT, 0, number, np.zeros(count, np.int64), (stack,), nothing)


def read_list(path: Path) -> ImageList:
    """A list of either version: ``#LSX`` with its line length, or ``#LST`` of before 2008.

    Fields are parted by tabs, in ``#LST`` by any blanks. Rows of another length than the file
    says are taken as they are.

    Raises
    ------
    InputFileError
        If the file cannot be read, is no list, or has a row without number and file.
    """
    try:
        with path.open("rb") as file:
            lines = _lines(file, path)
            magic = next(lines, "")
            if magic not in ("#LSX", "#LST"):
                raise InputFileError(
                    f"{path}: a list of images must begin with #LSX or #LST, got {magic[:20]!r}"
                )
            if magic == "#LSX":
                comment, length = next(lines, ""), next(lines, "")
                found = re.fullmatch(r"#\s*(\d{1,7})\s*", length)
                if not comment.startswith("#") or found is None:
                    raise InputFileError(
                        f"{path}: lines 2 and 3 must be a comment and the length of a line, "
                        f"as in '# 80', got {length[:20]!r}"
                    )
                return _parse_rows(lines, path, comment, int(found[1]))
            return _parse_rows(lines, path, _COMMENT, 0)
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def write_list(path: Path, listing: ImageList) -> None:
    """Write ``#LSX``; a list that was read in that form and not changed comes out as it was.

    Rows get longer than they were if one of them has to.
    """
    rows = []
    parts = zip(listing.number.tolist(), listing.stack.tolist(), listing.values, strict=True)
    for number, stack, values in parts:
        fields = [str(number), listing.stacks[stack], *([values] if values else [])]
        rows.append("\t".join(fields).encode("utf-8", "surrogateescape"))
    length = max(listing.line_bytes, max(map(len, rows), default=0) + 1)
    with write_atomically(path) as file:
        header = f"#LSX\n{listing.comment}\n# {length}\n"
        file.write(header.encode("utf-8", "surrogateescape"))
        file.writelines(row.ljust(length - 1) + b"\n" for row in rows)


def _parse_rows(lines: Iterator[str], path: Path, comment: str, line_bytes: int) -> ImageList:
    numbers: list[int] = []
    stack: list[int] = []
    index: dict[str, int] = {}
    values: list[str] = []
    is_old = not line_bytes
    ended = 0
    for at, line in enumerate(lines, start=2 if is_old else 4):
        if not line:
            ended = ended or at
            continue
        if is_old and line.startswith("#"):
            continue
        if ended:
            raise InputFileError(f"{path}: line {ended} is empty, but rows follow")
        fields = line.split(None if is_old and "\t" not in line else "\t", 2)
        number = fields[0].strip()
        if len(fields) < 2 or not fields[1].strip() or not _is_count(number):
            raise InputFileError(
                f"{path}: line {at} must hold a number from 0 and a file, got {line[:40]!r}"
            )
        numbers.append(int(number))
        stack.append(index.setdefault(fields[1].strip(), len(index)))
        values.append(fields[2].strip() if len(fields) == 3 else "")
    return ImageList(
        path,
        comment,
        line_bytes,
        np.array(numbers, np.int64),
        np.array(stack, np.int64),
        tuple(index),
        tuple(values),
    )


def _lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines without blanks at their ends."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise InputFileError(f"{path}: line {number} must have at most {_LONGEST_LINE} bytes")
        yield line.decode("utf-8", "surrogateescape").rstrip()


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS
