"""A block of STAR text: columns are read on demand, rows are kept as they were written."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, Shaped

from cryomix.errors import InputFileError, MissingColumnError

_WORD = re.compile(rb"\S+")
# A quote ends only where blank space follows, so that 'a dog's life' is one value.
_CLOSING = {b"'": re.compile(rb"'(?=\s|$)"), b'"': re.compile(rb'"(?=\s|$)')}
_SPECIAL = (b"_", b"#", b"data_", b"loop_", b"'", b'"')
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class StarBlock:
    """One ``data_`` block: a loop with any number of rows, or name-value pairs as one row.

    Attributes
    ----------
    path
        File that it came from, for messages.
    name
        What follows ``data_``; may be empty.
    labels
        Column names, without the leading underscore.
    rows
        Raw text of each row.
    lines
        Raw text of the whole block, comments and blank lines included.
    head
        How many of `lines` precede the first row.
    is_loop
        Whether it is a loop.
    """

    path: Path
    name: str
    labels: tuple[str, ...]
    rows: list[bytes]
    lines: list[bytes]
    head: int
    is_loop: bool = True

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def has(self, label: str) -> bool:
        """Whether there is such a column."""
        return label in self.labels

    def column(self, label: str) -> list[str]:
        """Text of one column, without quotes."""
        return [_text(token) for _, (part,) in self._tokens([label]) for token in part]

    def floats(self, label: str) -> Float[np.ndarray, "rows"]:
        """One column as numbers; see `float_columns`."""
        return self.float_columns([label])[label]

    def float_columns(self, labels: Sequence[str]) -> dict[str, Float[np.ndarray, "rows"]]:
        """Some columns as numbers, read in one pass.

        Raises
        ------
        MissingColumnError
            If a column is absent.
        InputFileError
            If a value is not a number.
        """
        columns = {label: np.empty(len(self.rows)) for label in labels}
        for start, tokens in self._tokens(labels):
            for (label, column), part in zip(columns.items(), tokens, strict=True):
                column[start : start + len(part)] = self._numbers(label, part, start)
        return columns

    def selected(self, rows: Int64[np.ndarray, "selected"]) -> "StarBlock":
        """These rows of a loop, in this order, as they were written."""
        return self._rebuilt(self.lines[: self.head], [self.rows[row] for row in rows])

    def extended(
        self, columns: Mapping[str, Sequence[object] | Shaped[np.ndarray, "_"]]
    ) -> "StarBlock":
        """The same rows with more columns at their end; a column that exists is replaced."""
        for label, column in columns.items():
            if len(column) != len(self.rows):
                raise ValueError(f"{len(self.rows)} rows but {len(column)} values of {label}")
        old = [label for label in columns if label in self.labels]
        new = [label for label in columns if label not in self.labels]
        positions = [self.labels.index(label) for label in old]
        rows: list[bytes] = []
        for start in range(0, len(self.rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            text = {
                label: [_written(value) for value in column[part]]
                for label, column in columns.items()
            }
            kept = self.rows[part]
            if old:
                kept = [
                    _substituted(row, dict(zip(positions, values, strict=True)))
                    for row, *values in zip(kept, *(text[label] for label in old), strict=True)
                ]
            if new:
                kept = [
                    row + (b"" if row.endswith((b" ", b"\t")) else b" ") + b" ".join(values)
                    for row, *values in zip(kept, *(text[label] for label in new), strict=True)
                ]
            rows += kept
        labels = (*self.labels, *new)
        added = [_label_line(label, labels.index(label)) for label in new]
        return replace(self._rebuilt([*self.lines[: self.head], *added], rows), labels=labels)

    def without(self, labels: Iterable[str]) -> "StarBlock":
        """The same rows without these columns; labels that are not there are passed over."""
        gone = {label: self.labels.index(label) for label in labels if label in self.labels}
        if not gone:
            return self
        cut = sorted(gone.values(), reverse=True)
        kept = tuple(label for label in self.labels if label not in gone)
        lines = []
        for line in self.lines[: self.head]:
            label = line.split()[0][1:].decode() if line.startswith(b"_") else ""
            if label not in gone:
                lines.append(_label_line(label, kept.index(label)) if label in kept else line)
        rows = [_without_values(row, cut) for row in self.rows]
        return replace(self._rebuilt(lines, rows), labels=kept)

    def line_of(self, row: int) -> str:
        """Where a row stands, for messages."""
        return f"row {row + 1} of data_{self.name}"

    def _rebuilt(self, head: list[bytes], rows: list[bytes]) -> "StarBlock":
        if not self.is_loop:
            raise ValueError(f"data_{self.name} is not a loop")
        return replace(self, rows=rows, lines=[*head, *rows, b""], head=len(head))

    def _tokens(self, labels: Sequence[str]) -> Iterator[tuple[int, list[list[bytes]]]]:
        """The first of some rows, and the values of each column in them."""
        missing = [label for label in labels if label not in self.labels]
        if missing:
            names = ", ".join(f"_{label}" for label in missing)
            raise MissingColumnError(f"{self.path}: data_{self.name} lacks {names}")
        positions = [self.labels.index(label) for label in labels]
        for start in range(0, len(self.rows), _ROWS_AT_ONCE):
            tokens = split_rows(self.rows[start : start + _ROWS_AT_ONCE])
            yield start, [tokens[position :: len(self.labels)] for position in positions]

    def _numbers(self, label: str, tokens: list[bytes], start: int) -> Float[np.ndarray, "rows"]:
        try:
            return np.fromiter(map(float, tokens), np.float64, len(tokens))
        except ValueError:
            row = next(row for row, token in enumerate(tokens) if not is_number(token))
            raise InputFileError(
                f"{self.path}: _{label} must be a number, "
                f"got {_text(tokens[row])!r} in {self.line_of(start + row)}"
            ) from None


def split_rows(rows: Sequence[bytes]) -> list[bytes]:
    """Values of all rows, one after the other, without quotes."""
    text = b"\n".join(rows)
    if b"'" not in text and b'"' not in text:
        return text.split()
    return [token for row in rows for token in split_row(row)]


def split_row(row: bytes) -> list[bytes]:
    """Values of one row, without quotes."""
    if b"'" not in row and b'"' not in row:
        return row.split()
    return [row[text] for _, text in _scan(row)]


def value_spans(row: bytes) -> list[tuple[int, int]]:
    """Where each value of a row begins and ends, quotes included."""
    return [span for span, _ in _scan(row)]


def _scan(row: bytes) -> Iterator[tuple[tuple[int, int], slice]]:
    """Where each value begins and ends with its quotes, and its text without them."""
    closing: dict[bytes, list[int]] = {}  # found once, or a row of quotes would take forever
    position = 0
    while word := _WORD.search(row, position):
        start, position = word.span()
        text = slice(start, position)
        quote = row[start : start + 1]
        if quote in _CLOSING:
            if quote not in closing:
                closing[quote] = [match.start() for match in _CLOSING[quote].finditer(row)]
            place = bisect_right(closing[quote], start)
            if place < len(closing[quote]):
                text = slice(start + 1, closing[quote][place])
                position = text.stop + 1
        yield (start, position), text


def _substituted(row: bytes, values: Mapping[int, bytes]) -> bytes:
    spans = value_spans(row)
    for position in sorted(values, reverse=True):
        start, stop = spans[position]
        row = row[:start] + values[position] + row[stop:]
    return row


def _without_values(row: bytes, positions: Sequence[int]) -> bytes:
    """`positions` from the last to the first; the blank space before each goes with it."""
    spans = value_spans(row)
    for position in positions:
        stop = spans[position][1]
        start = spans[position - 1][1] if position else 0
        row = row[:start] + row[stop:]
    return row


def _label_line(label: str, position: int) -> bytes:
    # RELION takes the text up to the number sign less one space for the label.
    return f"_{label} #{position + 1} ".encode()


def _written(value: object) -> bytes:
    if isinstance(value, bool | np.bool_):
        return b"1" if value else b"0"
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        raise ValueError(f"a STAR file holds finite numbers only, got {value}")
    text = str(value).encode("utf-8", "surrogateescape")
    if text and split_row(text) == [text] and not text.startswith(_SPECIAL):
        return text
    for quote in (b"'", b'"'):
        quoted = quote + text + quote
        if b"\n" not in text and b"\r" not in text and split_row(quoted) == [text]:
            return quoted
    raise ValueError(f"a STAR file cannot hold the value {value!r}")


def _text(token: bytes) -> str:
    return token.decode("utf-8", "surrogateescape")


def is_number(token: bytes) -> bool:
    """Whether a value can be read as a number."""
    try:
        float(token)
    except ValueError:
        return False
    return True
