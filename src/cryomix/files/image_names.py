"""Names of images, ``000012@folder/stack.mrcs``, and where on this machine the stacks are."""

import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from cryomix.errors import DataWarning, InputFileError
from cryomix.files.mrc import MrcStack

_NAMED_IN_MESSAGES = 3
# cryoSPARC links each imported stack under its name after a number of its own.
_IMPORT_NUMBER = re.compile(r"\A\d{15,24}_(?=.)", re.ASCII)


def open_images(
    names: Sequence[str], source: Path, data_folder: Path | None, *, several_boxes: bool = False
) -> MrcStack:
    """The images that a metadata file names, counted from 1 within each stack.

    A stack is looked for, in this order, in `data_folder` (whole name, last two components, last
    component), in the folder of `source` and each of its parents but the root of the file system,
    and in the working folder. A name with ``..`` may not lead out of the folder in which it is
    looked for, but into another of these.

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
        If a name has another form or leads out by ``..``, or stacks are not found: all of them
        are counted.

    Warns
    -----
    DataWarning
        If stacks lie elsewhere, because their path is absolute or a link leads there.
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
    own = (data_folder, source.parent, source.resolve().parent, Path.cwd())
    homes = tuple(folder.resolve() for folder in own if folder is not None)
    found = [_find_stack(stack, source, data_folder, homes) for stack in stacks]
    missing = [stack for stack, place in zip(stacks, found, strict=True) if place is None]
    if missing:
        named = ", ".join(missing[:_NAMED_IN_MESSAGES])
        more = f" and {len(missing) - _NAMED_IN_MESSAGES} more"
        searched = "" if data_folder is None else f"{data_folder}, "
        raise InputFileError(
            f"{source}: {len(missing)} of {len(stacks)} image stacks not found: {named}"
            f"{more if len(missing) > _NAMED_IN_MESSAGES else ''} (looked in {searched}"
            f"{source.resolve().parent} and its parents, {Path.cwd()})"
        )
    places = [place for place in found if place is not None]
    _warn_of_places_elsewhere([path for path, is_within in places if not is_within], source)
    return [path for path, _ in places]


def _find_stack(
    stack: str, source: Path, data_folder: Path | None, homes: Sequence[Path]
) -> tuple[Path, bool] | None:
    """The file of a stack, and whether it lies within a folder in which it was looked for."""
    name = Path(stack)
    strays: Path | None = None
    for folder, path in _candidates(name, source, data_folder):
        if not _is_file(path):
            continue
        place = path.resolve()
        if any(place.is_relative_to(home) for home in (folder.resolve(), *homes)):
            return path, True
        if ".." not in name.parts:
            return path, False
        strays = place
    if strays is not None:
        raise InputFileError(
            f"{source}: image stack {stack} leads out of the folder of the file, to {strays}: "
            "if that is right, name the folder that holds it with --datadir"
        )
    return None


def _candidates(name: Path, source: Path, data_folder: Path | None) -> Iterator[tuple[Path, Path]]:
    """Folders in which a stack may be, and its path there."""
    if data_folder is not None:
        parts = name.parts[1:] if name.is_absolute() else name.parts
        yield data_folder, data_folder.joinpath(*parts)
        yield data_folder, data_folder.joinpath(*parts[-2:])
        yield data_folder, data_folder / name.name
        yield data_folder, data_folder / _IMPORT_NUMBER.sub("", name.name, count=1)
    # The file's own folder before the working one: a file of the same name may lie there.
    for start in (source.absolute(), source.resolve()):
        if name.is_absolute():
            yield start.parent, name
            continue
        # No project lies at the root, but every file of the system would be found from there.
        for folder in start.parents[:-1] or start.parents:
            yield folder, folder / name
    yield Path(), name


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long, or a folder may not be searched
        return False


def _warn_of_places_elsewhere(paths: Sequence[Path], source: Path) -> None:
    if paths:
        one = "an image stack lies" if len(paths) == 1 else f"{len(paths)} image stacks lie"
        warnings.warn(
            f"{source}: {one} outside of the folders of this file and this command, as an absolute "
            f"path or a link says: {paths[0].resolve()}",
            DataWarning,
            stacklevel=3,
        )
