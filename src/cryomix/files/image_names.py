"""Names of images, ``000012@folder/stack.mrcs``, and where on this machine the stacks are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from cryomix.errors import InputFileError
from cryomix.files.mrc import MrcStack

_NAMED_IN_MESSAGES = 3


def open_images(names: Sequence[str], source: Path, data_folder: Path | None) -> MrcStack:
    """The images that a metadata file names, counted from 1 within each stack.

    A stack is looked for, in this order, in `data_folder` (whole name, last two components, last
    component), in the folder of `source` and each of its parents, and in the working folder.

    Raises
    ------
    InputFileError
        If a name has another form, or stacks are not found: all of them are counted.
    """
    file_of_stack: dict[str, int] = {}
    file = np.empty(len(names), np.int64)
    section = np.empty(len(names), np.int64)
    for row, name in enumerate(names):
        number, separator, stack = name.partition("@")
        if not (separator and stack and number.isascii() and number.isdigit() and int(number)):
            raise InputFileError(
                f"{source}: an image name must be number@stack counted from 1, "
                f"got {name!r} in row {row + 1}"
            )
        file[row] = file_of_stack.setdefault(stack, len(file_of_stack))
        section[row] = int(number) - 1
    return MrcStack(find_stacks(list(file_of_stack), source, data_folder), file, section, source)


def find_stacks(stacks: Sequence[str], source: Path, data_folder: Path | None) -> list[Path]:
    """Where each named stack is on this machine; see `open_images`.

    Raises
    ------
    InputFileError
        If some are not found: all of them are counted.
    """
    if data_folder is not None and not data_folder.is_dir():
        raise InputFileError(f"{data_folder}: the data folder must be a folder that exists")
    found = [
        next((path for path in _candidates(stack, source, data_folder) if path.is_file()), None)
        for stack in stacks
    ]
    missing = [stack for stack, path in zip(stacks, found, strict=True) if path is None]
    if missing:
        named = ", ".join(missing[:_NAMED_IN_MESSAGES])
        more = f" and {len(missing) - _NAMED_IN_MESSAGES} more"
        searched = "" if data_folder is None else f"{data_folder}, "
        raise InputFileError(
            f"{source}: {len(missing)} of {len(stacks)} image stacks not found: {named}"
            f"{more if len(missing) > _NAMED_IN_MESSAGES else ''} (looked in {searched}"
            f"{source.resolve().parent} and its parents, {Path.cwd()})"
        )
    return [path for path in found if path is not None]


def _candidates(stack: str, source: Path, data_folder: Path | None) -> Iterator[Path]:
    name = Path(stack)
    if data_folder is not None:
        parts = name.parts[1:] if name.is_absolute() else name.parts
        yield data_folder.joinpath(*parts)
        yield data_folder.joinpath(*parts[-2:])
        yield data_folder / name.name
    # The file's own folder before the working one: a file of the same name may lie there.
    for folder in (*source.absolute().parents, *source.resolve().parents):
        yield folder / name
    yield name
