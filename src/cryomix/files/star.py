"""STAR files: ordered blocks, read and written so that nothing of the user's is lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryomix.errors import InputFileError
from cryomix.files.atomic import write_atomically
from cryomix.files.star_block import StarBlock, split_row, value_spans

_LINES_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class StarFile:
    """Ordered blocks and the lines before the first of them."""

    path: Path
    blocks: tuple[StarBlock, ...]
    preamble: tuple[bytes, ...] = ()
    newline: bytes = b"\n"

    def has(self, name: str) -> bool:
        """Whether there is a block ``data_name``."""
        return any(block.name == name for block in self.blocks)

    def block(self, name: str) -> StarBlock:
        """Block ``data_name``."""
        for block in self.blocks:
            if block.name == name:
                return block
        raise InputFileError(f"{self.path}: there is no block data_{name}")

    def with_block(self, block: StarBlock) -> "StarFile":
        """The same file with the block of this name exchanged."""
        blocks = tuple(block if old.name == block.name else old for old in self.blocks)
        return replace(self, blocks=blocks)


def read_star(path: Path) -> StarFile:
    """All blocks of a STAR file.

    Comments are whole lines that begin with ``#``, or whatever follows the last value of a row
    and begins with ``#``; elsewhere ``#`` belongs to the value. Every row is one line.

    Raises
    ------
    InputFileError
        If the file cannot be read, is no STAR file, names a block or column twice, or has a row
        with too many or too few values.
    """
    content = _read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    newline = b"\r\n" if content[: content.find(b"\n") + 1].endswith(b"\r\n") else b"\n"
    lines = content.splitlines()
    del content  # as large as all lines together
    starts = _block_starts(lines)
    for number, line in enumerate(lines[: starts[0] if starts else None], start=1):
        if not is_blank(line):
            raise _malformed(path, number, f"a data_ block must begin here, got {_shown(line)}")
    if not starts:
        raise InputFileError(f"{path}: a STAR file holds data_ blocks, but here is none")
    stops = [*starts[1:], len(lines)]
    blocks = tuple(
        parse_block(path, lines[start:stop], start + 1)
        for start, stop in zip(starts, stops, strict=True)
    )
    first: dict[str, int] = {}
    for block, start in zip(blocks, starts, strict=True):
        earlier = first.setdefault(block.name, start + 1)
        if earlier != start + 1:
            raise _malformed(
                path, start + 1, f"data_{block.name} was there before, in line {earlier}"
            )
    return StarFile(path, blocks, tuple(lines[: starts[0]]), newline)


def write_star(path: Path, star: StarFile) -> None:
    """Write all blocks; those that were read and not changed come out as they were."""
    with write_atomically(path) as file:
        for lines in (star.preamble, *(block.lines for block in star.blocks)):
            for start in range(0, len(lines), _LINES_AT_ONCE):
                part = lines[start : start + _LINES_AT_ONCE]
                file.write(star.newline.join(part) + star.newline)


def make_block(name: str, columns: Mapping[str, Sequence[object]]) -> StarBlock:
    """A new loop; all columns must be equally long."""
    head = [b"", f"data_{name}".encode(), b"", b"loop_"]
    length = len(next(iter(columns.values())))
    empty = StarBlock(Path(), name, (), [b""] * length, head, len(head))
    return empty.extended(columns)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error


def _block_starts(lines: list[bytes]) -> list[int]:
    starts: list[int] = []
    has_one_column = False  # the loop that began last
    for number, line in enumerate(lines):
        if not line.lstrip().startswith(b"data_"):
            continue
        tokens = line.split()
        if len(tokens) > 1 and not tokens[1].startswith(b"#"):
            continue
        # In a loop of one column, RELION reads such a line as a value until a blank line comes.
        if has_one_column and not is_blank(lines[number - 1]):
            continue
        starts.append(number)
        has_one_column = _has_one_column(lines, number)
    return starts


def _has_one_column(lines: list[bytes], start: int) -> bool:
    is_loop, labels = False, 0
    for number in range(start + 1, len(lines)):
        line = lines[number].strip()
        if is_blank(line):
            continue
        if line == b"loop_":
            is_loop = True
        elif is_loop and is_label(line, numbered=None):
            labels += 1
        else:
            break
    return labels == 1


def parse_block(path: Path, lines: list[bytes], first: int) -> StarBlock:
    """The block whose ``data_`` line is the first of `lines`, line number `first` of the file."""
    name = lines[0].split()[0].removeprefix(b"data_").decode("utf-8", "surrogateescape")
    content = next((i for i, line in enumerate(lines[1:], 1) if not is_blank(line)), len(lines))
    if content < len(lines) and lines[content].split()[0] == b"loop_":
        return _parse_loop(path, name, lines, first, content + 1)
    return _parse_pairs(path, name, lines, first)


def _parse_loop(path: Path, name: str, lines: list[bytes], first: int, position: int) -> StarBlock:
    labels: list[str] = []
    known: set[str] = set()
    numbered: bool | None = None
    head = position
    for offset in range(position, len(lines)):
        line = lines[offset].strip()
        if is_blank(line):
            continue
        if not is_label(line, numbered):
            break
        label, *number = line.split()
        numbered = bool(number)
        labels.append(label[1:].decode("utf-8", "surrogateescape"))
        head = offset + 1
        if labels[-1] in known:
            raise _malformed(
                path, first + offset, f"column _{labels[-1]} of data_{name} was there before"
            )
        known.add(labels[-1])
    if not labels:
        raise _malformed(path, first + position - 1, f"the loop of data_{name} has no columns")
    rows = [
        checked_row(path, name, line, len(labels), first + offset)
        for offset, line in enumerate(lines[head:], start=head)
        if not is_blank(line)
    ]
    return StarBlock(path, name, tuple(labels), rows, lines, head)


def checked_row(path: Path, name: str, row: bytes, width: int, number: int) -> bytes:
    """A row without what follows its last value, unless it has more or fewer than `width`."""
    values = split_row(row)
    if len(values) == width:
        return row
    if len(values) > width:
        start = value_spans(row)[width][0]
        if row[start : start + 1] == b"#":
            return row[:start].rstrip()
    raise _malformed(
        path, number, f"data_{name} has {width} columns but this row {len(values)} values"
    )


def _parse_pairs(path: Path, name: str, lines: list[bytes], first: int) -> StarBlock:
    labels: list[str] = []
    known: set[str] = set()
    values: list[bytes] = []
    for number, line in enumerate(lines[1:], start=first + 1):
        if is_blank(line):
            continue
        tokens = [line[start:stop] for start, stop in value_spans(line)]
        if not tokens[0].startswith(b"_"):
            raise _malformed(
                path, number, f"data_{name} must list _name and value, got {_shown(line)}"
            )
        if len(tokens) < 2 or (len(tokens) > 2 and not tokens[2].startswith(b"#")):
            label = tokens[0].decode("utf-8", "replace")
            raise _malformed(path, number, f"{label} must have one value, got {len(tokens) - 1}")
        labels.append(tokens[0][1:].decode("utf-8", "surrogateescape"))
        values.append(tokens[1])
        if labels[-1] in known:
            raise _malformed(path, number, f"_{labels[-1]} of data_{name} was there before")
        known.add(labels[-1])
    rows = [b" ".join(values)] if values else []
    return StarBlock(path, name, tuple(labels), rows, lines, len(lines), is_loop=False)


def is_blank(line: bytes) -> bool:
    """Whether a line says nothing; comments do not."""
    stripped = line.lstrip()
    return not stripped or stripped.startswith(b"#")


def is_label(line: bytes, numbered: bool | None) -> bool:
    """Whether a line names a column; a row, too, may begin with an underscore."""
    if not line.startswith(b"_"):
        return False
    tokens = line.split()
    if len(tokens) == 1:
        return numbered is not True
    return tokens[1].startswith(b"#")


def _shown(line: bytes) -> str:
    text = line.strip().decode("utf-8", "replace")
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _malformed(path: Path, line: int, reason: str) -> InputFileError:
    return InputFileError(f"{path}: line {line}: {reason}")
