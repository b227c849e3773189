"""Names of images, ``000012@folder/stack.mrcs``, and where on this machine the stacks are."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from cryomix.errors import InputFileError
from cryomix.files.mrc import MrcStack

_NAMED_IN_MESSAGES = 3
# cryoSPARC links each imported stack under its name after a number of its own.
_IMPORT_NUMBER = re.compile(r"\A\d{15,24}_(?=.)", re.ASCII)


def open_images(
    names: Sequence[str], source: Path, data_folder: Path | None, *, several_boxes: bool = False
) -> MrcStack:
    """The images that a metadata file names, counted from 1 within each stack.

    A stack is looked for, in this order, in `data_folder` (whole name, last two components, last
    component), in the folder of `source` and each of its parents, and in the working folder.

    Parameters
    ----------
    names
        One per particle, ``000012@folder/stack.mrcs``.
    source
        The metadata file.
    data_folder
        Where stacks are looked for first.
    several_boxes
        Whether the stacks may differ in box size; see `MrcStack`.

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
    return open_sections(
        list(file_of_stack), file, section, source, data_folder, several_boxes=several_boxes
    )


def open_sections(
    stacks: Sequence[str],
    file: Int64[np.ndarray, "images"],
    section: Int64[np.ndarray, "images"],
    source: Path,
    data_folder: Path | None,
    *,
    several_boxes: bool = False,
    sign: Float32[np.ndarray, "images"] | None = None,
) -> MrcStack:
    """The images at places that a metadata file gives, looked for as `open_images` does.

    In `data_folder` a stack may also lie without the number that cryoSPARC puts before its name.

    Parameters
    ----------
    stacks
        Names, each once.
    file, section
        Index into `stacks` of each image, and its place there, from 0.
    source, data_folder
        As in `open_images`.
    several_boxes, sign
        Whether the stacks may differ in box size, and what each image is multiplied by; see
        `MrcStack`.

    Raises
    ------
    InputFileError
        If stacks are not found: all of them are counted.
    """
    paths = _find_stacks(stacks, source, data_folder)
    return MrcStack(paths, file, section, source, several_boxes=several_boxes, sign=sign)


def find_stacks(stacks: Sequence[str], source: Path, data_folder: Path | None) -> list[Path]:
    """Where each named stack is on this machine, looked for as `open_images` does.

    Raises
    ------
    InputFileError
        If stacks are not found: all of them are counted.
    """
    return _find_stacks(stacks, source, data_folder)


def _find_stacks(stacks: Sequence[str], source: Path, data_folder: Path | None) -> list[Path]:
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
        yield data_folder / _IMPORT_NUMBER.sub("", name.name, count=1)
    # The file's own folder before the working one: a file of the same name may lie there.
    for folder in (*source.absolute().parents, *source.resolve().parents):
        yield folder / name
    yield name
