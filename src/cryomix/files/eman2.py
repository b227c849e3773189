"""EMAN2 particles, a list (.lst) or a stack (.hdf): read as `Particles`, written back as lists."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from cryomix.errors import (
    BoxMismatchError,
    DataWarning,
    InputFileError,
    MissingColumnError,
    OutputError,
)
from cryomix.files.eman2_attributes import (
    CLASS,
    CTF,
    FLIPPED,
    PIXEL_SIZE,
    TRANSFORM,
    WIDTH,
    Attributes,
    parse_attributes,
    parse_transform,
    to_ctf,
    to_poses,
    to_transform,
)
from cryomix.files.eman2_hdf import HdfStack, open_hdf
from cryomix.files.eman2_info import read_micrograph_ctf
from cryomix.files.eman2_list import ImageList, list_images, read_list, write_list
from cryomix.files.image_names import find_stacks
from cryomix.files.mrc import MrcStack
from cryomix.geometry.poses import Poses
from cryomix.imaging.particles import Particles

SUFFIXES = (".lst", ".hdf")
LATENT = "cryomixLatent"
_HDF, _MRC = (".hdf", ".h5"), (".mrc", ".mrcs")
_BITS = re.compile(r":\d+$")  # how a file was to be compressed, not a part of its name
_FLIPPED_NAME = re.compile(r"__(ctf_)?flip(_|$)")
_EVEN, _ODD = 1, 2
_SIZE_TOLERANCE = 1e-3  # of the CTF's pixel size, of which EMAN2 writes four digits
_SUSPICIOUS_PERCENT = 1.0


def read_particles(
    path: Path, *, data_folder: Path | None = None, beside: Path | None = None
) -> Particles:
    """The particles of an EMAN2 list or HDF stack; images stay on disk.

    What a list says of an image goes before the image's header, and that before the CTF that
    ``info/NAME_info.json`` gives for its micrograph. EMAN2's Transform turns the model, then moves
    it by (tx, ty) pixels, so these are our shift. Half sets are ``class`` 0 and 1; else those of
    ``NAME__even.lst`` and ``NAME__odd.lst`` beside the list; else images are taken in turn as
    even and odd.

    Parameters
    ----------
    path
        ``.lst`` or ``.hdf``.
    data_folder
        Where to look for image stacks first; see `cryomix.files.image_names.open_images`.
    beside
        The file beside which they lie, if `path` was written from another one.

    Raises
    ------
    MissingColumnError
        If pose, CTF or pixel size of an image is nowhere.
    BoxMismatchError
        If images differ in pixel size or box size.
    InputFileError
        If a file is missing, malformed or truncated, or a value is not finite or out of range.

    Warns
    -----
    DataWarning
        If ``class`` is no half set, amplitude contrast looks like a fraction where EMAN2 has
        percent, the pixel size may be none, or a name contradicts ``ctf_phase_flipped``.
    """
    listing, images = _open(path, data_folder, beside or path)
    attributes = _attributes(path, listing, images)
    _require(path, attributes)
    pixel_size = _common_pixel_size(path, attributes)
    _warn_of_fraction(path, attributes)
    first = torch.from_numpy(images.first_of_each())
    row = torch.arange(len(listing))
    try:
        poses, ctf = to_poses(attributes, pixel_size), to_ctf(attributes)
    except ValueError as error:
        raise InputFileError(f"{path}: {error}") from error
    return Particles(
        images=images,
        poses=poses,
        ctf=ctf,
        pixel_size=pixel_size,
        box_size=images.box_size,
        half_set=_half_set(path, listing, attributes, first),
        source_row=row,
        has_flipped_phases=_has_flipped_phases(path, listing, attributes),
        same_image=None if torch.equal(first, row) else first,
    )


def write_particles(
    source: Path,
    out: Path,
    *,
    rows: Int64[np.ndarray, "selected"] | None = None,
    added: Mapping[str, Shaped[np.ndarray, "written"]] | None = None,
) -> None:
    """Write a list of rows of `source` with all that it says of them, and some keys more.

    Parameters
    ----------
    source
        The user's list; or stack, into which `out` then points.
    out
        Another file, ``.lst``.
    rows
        Which, and in which order; all if absent.
    added
        Key → one value per written row; replaces what the list says under that key. Where they
        are latents, all latents that `source` has are replaced.

    Raises
    ------
    OutputError
        If `out` is `source`, or no list, or cannot be written.
    """
    listing = read_listing(source)
    if rows is not None:
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(listing):
            raise ValueError(f"{len(listing)} rows, got {rows.min()} to {rows.max()}")
        listing = listing.selected(rows)
    if added:
        stale: set[str] = set()
        if any(key.startswith(LATENT) for key in added):
            records = (listing.record(row) for row in range(len(listing)))
            stale = {key for record in records for key in record if key.startswith(LATENT)}
        listing = listing.extended(
            {key: [_number_if_one(value) for value in values.tolist()]
             for key, values in added.items()},
            without=sorted(stale),
        )  # fmt: skip
    _write(source, out, listing)


def write_poses(source: Path, out: Path, poses: Poses, *, pixel_size: float) -> None:
    """Write all rows of `source` as a list, with all that it says of them but other poses.

    Parameters
    ----------
    source, out
        As in `write_particles`.
    poses
        One per row.
    pixel_size
        Of the images, Å: a list counts shifts in pixels.

    Raises
    ------
    OutputError
        If `out` is `source`, or no list, or cannot be written.
    """
    listing = read_listing(source)
    if len(poses) != len(listing):
        raise ValueError(f"{len(listing)} rows but {len(poses)} poses")
    transforms = list_transforms(listing, poses, pixel_size)
    _write(source, out, listing.extended({TRANSFORM: transforms}))


def list_transforms(listing: ImageList, poses: Poses, pixel_size: float) -> list[dict[str, object]]:
    """JSON of one Transform per row: its matrix as text or as numbers, as the row has it.

    What a row says of the place along the beam stays.
    """
    transforms: list[dict[str, object]] = []
    for row, matrix in enumerate(to_transform(poses, pixel_size)):
        record = listing.record(row)
        before = record.get(TRANSFORM)
        if before is not None:
            matrix[-1] = parse_transform(before)[-1]
        text = [f"{number:.8g}" for number in matrix.tolist()]
        as_numbers = isinstance(before, dict) and isinstance(before.get("matrix"), list)
        written = [float(number) for number in text] if as_numbers else f"[{','.join(text)}]"
        transforms.append({"__class__": "Transform", "matrix": written})
    return transforms


def read_listing(source: Path) -> ImageList:
    """The rows of a list; or, for a stack, a list of its images."""
    return _open(source, None, source)[0] if source.suffix.lower() == ".hdf" else read_list(source)


def _open(
    path: Path, data_folder: Path | None, beside: Path
) -> tuple[ImageList, HdfStack | MrcStack]:
    if path.suffix.lower() == ".hdf":
        images = open_hdf(path)
        return list_images(path, str(path.absolute()), len(images)), images
    listing = read_list(path)
    names = [_BITS.sub("", name) for name in listing.stacks]
    suffixes = {Path(name).suffix.lower() for name in names}
    if not suffixes:
        raise InputFileError(f"{path}: lists no images")
    if not (suffixes <= set(_HDF) or suffixes <= set(_MRC)):
        raise InputFileError(
            f"{path}: its images must all lie in HDF or all in MRC stacks, got "
            f"{', '.join(sorted(suffixes))}"
        )
    files = find_stacks(names, beside, data_folder)
    kind = HdfStack if suffixes <= set(_HDF) else MrcStack
    return listing, kind(files, listing.stack, listing.number, path)


def _write(source: Path, out: Path, listing: ImageList) -> None:
    if out.exists() and out.samefile(source):
        raise OutputError(f"{out}: the input must not be overwritten")
    if out.suffix != ".lst":
        raise OutputError(f"{out}: particles of EMAN2 are written as a list, which ends in .lst")
    write_list(out, listing)


def _attributes(path: Path, listing: ImageList, images: HdfStack | MrcStack) -> Attributes:
    values = np.full((len(listing), WIDTH), np.nan)
    for row in range(len(listing)):
        try:
            values[row] = parse_attributes(listing.record(row))
        except InputFileError:
            raise
        except ValueError as error:
            raise listing.malformed(row, str(error)) from error
    listed = Attributes(values)
    if isinstance(images, HdfStack):
        listed = listed.over(images.attributes)
    else:
        sizes = np.array([header.voxel_size[0] for header in images.headers])[listing.stack]
        said = listed.single(PIXEL_SIZE)
        said[:] = np.where(np.isnan(said) & ~np.isin(sizes, (0, 1)), sizes, said)
    missing = listed.missing(CTF)
    for stack in np.unique(listing.stack[missing]).tolist():
        numbers = read_micrograph_ctf(images.files[stack])
        if numbers is not None:
            listed.column(CTF)[missing[listing.stack[missing] == stack]] = numbers
    return listed


def _require(path: Path, attributes: Attributes) -> None:
    needed = {TRANSFORM: "a pose", CTF: "a CTF"}
    for key, what in needed.items():
        missing = attributes.missing(key)
        if len(missing):
            raise MissingColumnError(
                f"{path}: {len(missing)} of {len(attributes)} images have no {key}, and each needs "
                f"{what}: the first is row {missing[0] + 1}"
            )


def _common_pixel_size(path: Path, attributes: Attributes) -> float:
    given, measured = attributes.single(PIXEL_SIZE), attributes.ctf_pixel_size
    sizes = np.where(np.isnan(given), measured, given)
    bad = np.flatnonzero(~(sizes > 0))
    if len(bad):
        raise InputFileError(
            f"{path}: row {bad[0] + 1}: the pixel size must be above 0, got {sizes[bad[0]]:g}"
        )
    other = np.flatnonzero(np.abs(sizes - sizes[0]) > _SIZE_TOLERANCE * sizes[0])
    if len(other):
        raise BoxMismatchError(
            f"{path}: all images must have one pixel size, got {sizes[0]:g} Å in row 1 and "
            f"{sizes[other[0]]:g} Å in row {other[0] + 1}"
        )
    if given[0] == 1 and abs(measured[0] - 1) > _SIZE_TOLERANCE:
        warnings.warn(
            f"{path}: its pixel size of 1 Å is used, although the CTF was measured at "
            f"{measured[0]:g} Å: is it the size of these images, or none?",
            DataWarning,
            stacklevel=3,
        )
    return float(f"{sizes[0]:.6g}")  # float32 in the file


def _warn_of_fraction(path: Path, attributes: Attributes) -> None:
    percent = attributes.amplitude_contrast_percent
    small = (percent != 0) & (np.abs(percent) <= _SUSPICIOUS_PERCENT)
    if small.any():
        warnings.warn(
            f"{path}: amplitude contrast of {percent[small][0]:g} % is taken as it stands, but "
            "looks like a fraction, which EMAN2 gives in percent",
            DataWarning,
            stacklevel=3,
        )


def _half_set(
    path: Path, listing: ImageList, attributes: Attributes, first: Int64[Tensor, "particles"]
) -> Tensor:
    group = attributes.single(CLASS)
    given = ~np.isnan(group)
    if given.all() and np.isin(group, (0, 1)).all():
        return torch.from_numpy(group + 1).to(torch.int8)
    if given.any():
        warnings.warn(
            f"{path}: {CLASS!r} is not 0 or 1 for every image, so it says nothing of half sets",
            DataWarning,
            stacklevel=3,
        )
    for ending, number in (("_even", _EVEN), ("_odd", _ODD)):
        if path.stem.endswith(ending):
            return torch.full((len(listing),), number, dtype=torch.int8)
    lists = [path.with_name(f"{path.stem}__{half}.lst") for half in ("even", "odd")]
    if path.suffix == ".lst" and all(half.is_file() for half in lists):
        return _half_set_of_lists(path, listing, lists)
    number = first.unique(return_inverse=True)[1]
    return (number % 2 + 1).to(torch.int8)


def _half_set_of_lists(path: Path, listing: ImageList, lists: list[Path]) -> Tensor:
    halves = []
    for half in lists:
        found = read_list(half)
        names = [found.stacks[stack] for stack in found.stack.tolist()]
        halves.append(set(zip(names, found.number.tolist(), strict=True)))
    half_set = []
    for row, (stack, number) in enumerate(
        zip(listing.stack.tolist(), listing.number.tolist(), strict=True)
    ):
        image = (listing.stacks[stack], number)
        within = [image in half for half in halves]
        if sum(within) != 1:
            raise InputFileError(
                f"{path}: row {row + 1}: its image must be in one of {lists[0].name} and "
                f"{lists[1].name}, got {sum(within)}"
            )
        half_set.append(_EVEN if within[0] else _ODD)
    return torch.tensor(half_set, dtype=torch.int8)


def _has_flipped_phases(path: Path, listing: ImageList, attributes: Attributes) -> bool:
    """As headers or the list say; where they do not, as the names of EMAN2's files do."""
    stems = [Path(_BITS.sub("", name)).stem for name in listing.stacks]
    named = np.array([_FLIPPED_NAME.search(stem) is not None for stem in stems])[listing.stack]
    said = attributes.single(FLIPPED)
    contradicted = np.flatnonzero(~np.isnan(said) & named & (said == 0))
    if len(contradicted):
        warnings.warn(
            f"{path}: {FLIPPED} is 0, which is believed, although "
            f"{listing.stacks[listing.stack[contradicted[0]]]} is named like a flipped stack",
            DataWarning,
            stacklevel=3,
        )
    flipped = np.where(np.isnan(said), named, said != 0)
    if flipped.any() and not flipped.all():
        raise InputFileError(
            f"{path}: phases must be flipped in all images or in none, got "
            f"{flipped.sum()} of {len(flipped)}"
        )
    return bool(flipped.all())


def _number_if_one(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value
