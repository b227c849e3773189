"""MRC files: maps, and stacks of images that are read one by one."""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from cryomix.errors import BoxMismatchError, DataWarning, InputFileError
from cryomix.files.atomic import write_atomically
from cryomix.files.compressed import read_beginning
from cryomix.files.mrc_header import HEADER_BYTES, MrcHeader, make_header, parse_header
from cryomix.files.open_files import OpenFiles
from cryomix.files.sections import first_of_each, require_finite
from cryomix.imaging.common_grid import CommonGridStack
from cryomix.imaging.particles import ImageStack
from cryomix.imaging.volume import Volume

_OPEN_FILES = 64
_IMAGES_AT_ONCE = 64
_MOST_ADDED = 16  # times its voxels, to make a map cubic


class MrcStack:
    """Images in one or many MRC files, read when asked for, from any thread.

    Parameters
    ----------
    files
        Each file once.
    file
        Index into `files` of each image.
    section
        Place of each image in its file, from 0.
    source
        The metadata file that lists the images, for messages.
    sign
        1 or −1: what each image is multiplied by as it is read, so that protein is positive.
    several_boxes
        Whether the files may differ in box size; only images of one are then read at a time.

    Raises
    ------
    InputFileError
        If a file is missing, malformed or shorter than its header says, or holds fewer images
        than are asked for.
    BoxMismatchError
        If the files differ in box size.
    """

    def __init__(
        self,
        files: Sequence[Path],
        file: Int64[np.ndarray, "images"],
        section: Int64[np.ndarray, "images"],
        source: Path | None = None,
        *,
        sign: Float[np.ndarray, "images"] | None = None,
        several_boxes: bool = False,
    ) -> None:
        self._sign = sign
        self.files = tuple(files)
        self.headers = tuple(_read_stack_header(path) for path in self.files)
        self._file = file
        self._section = section
        self._open_files = OpenFiles(self.files, _OPEN_FILES)
        if not several_boxes:
            _require_one_box(self.files, self.headers)
        self._require_images(source)

    def __len__(self) -> int:
        return len(self._file)

    @property
    def box_size(self) -> int:
        """Edge of the images, pixels; of the first where there are several boxes."""
        return int(self.box_sizes[0]) if len(self) else self.headers[0].columns

    @cached_property
    def box_sizes(self) -> Int64[np.ndarray, "images"]:
        """Edge of each image, pixels."""
        return np.array([header.columns for header in self.headers], np.int64)[self._file]

    def file_of(self, image: int) -> Path:
        """The file that an image lies in."""
        return self.files[self._file[image]]

    def header_pixel_sizes(self) -> list[tuple[Path, float, int]]:
        """Of each file, the pixel size in its header, Å, and its first image in this stack."""
        used, first = np.unique(self._file, return_index=True)
        return [
            (self.files[file], self.headers[file].voxel_size[0], int(image))
            for file, image in zip(used, first, strict=True)
        ]

    def first_of_each(self) -> Int64[np.ndarray, "images"]:
        """Index of the first image that is the same section of the same file."""
        return first_of_each(self._file, self._section)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order, float32.

        Raises
        ------
        InputFileError
            If one of them holds NaN or infinity, or a file has become shorter.
        """
        images = self.read_as_stored(index)
        require_finite(images, index, self._name)
        if self._sign is not None:
            images *= torch.from_numpy(self._sign[index.cpu().numpy()])[:, None, None]
        return images

    def read_as_stored(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, whatever they hold, without sign."""
        wanted = index.cpu().numpy()
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"{len(self)} images, got indices {wanted.min()} to {wanted.max()}")
        boxes = self.box_sizes[wanted]
        box_size = int(boxes[0]) if len(boxes) else self.box_size
        if (boxes != box_size).any():
            raise ValueError(f"images of one box are read at a time, got {set(boxes.tolist())}")
        images = np.empty((len(wanted), box_size, box_size), np.float32)
        file, section = self._file[wanted], self._section[wanted]
        # The disk is fastest when each file is read once, from front to back.
        order = np.lexsort((section, file))
        for part in np.split(order, np.flatnonzero(np.diff(file[order])) + 1):
            if len(part):
                self._read_sections(int(file[part[0]]), section[part], part, images)
        return torch.from_numpy(images)

    def _name(self, image: int) -> str:
        return f"{self.files[self._file[image]]}: image {self._section[image] + 1}"

    def _read_sections(
        self,
        file: int,
        section: Int64[np.ndarray, "sections"],
        place: Int64[np.ndarray, "sections"],
        images: Float[np.ndarray, "batch n n"],
    ) -> None:
        """Put ascending sections of a file to their places in `images`."""
        header = self.headers[file]
        stored, at = images, place
        if header.dtype != images.dtype:
            stored = np.empty((len(section), *images.shape[1:]), header.dtype)
            at = np.arange(len(section))
        breaks = np.flatnonzero(np.diff(section) != 1) + 1
        for run in np.split(np.arange(len(section)), breaks):
            offset = header.data_offset + int(section[run[0]]) * header.section_bytes
            buffers = [memoryview(stored[row]).cast("B") for row in at[run]]
            self._open_files.read_into(file, offset, buffers)
        if stored is not images:
            images[place] = stored

    def _require_images(self, source: Path | None) -> None:
        size = np.array([header.sections for header in self.headers], np.int64)[self._file]
        beyond = np.flatnonzero((self._section < 0) | (self._section >= size))
        if len(beyond):
            row = int(beyond[0])
            raise InputFileError(
                f"{source or 'image list'}: row {row + 1} asks for image {self._section[row] + 1} "
                f"of {self.files[self._file[row]]}, which holds {size[row]}"
            )


def open_stack(path: Path) -> MrcStack:
    """All images of one file."""
    sections = _read_stack_header(path).sections
    return MrcStack([path], np.zeros(sections, np.int64), np.arange(sections))


def find_bad_images(
    stack: ImageStack, report: Callable[[int, int], None] | None = None
) -> list[int]:
    """Indices of the images that hold NaN or infinity, or the same value everywhere.

    Parameters
    ----------
    stack
        All of it is read once.
    report
        Told how many images were read, and of how many.
    """
    bad: list[int] = []
    of_one_box = [torch.arange(len(stack))]
    if isinstance(stack, CommonGridStack):
        of_one_box, stack = stack.rows_by_grid(), stack.images
    read = getattr(stack, "read_as_stored", stack.read)
    done = 0
    for index in (part for rows in of_one_box for part in rows.split(_IMAGES_AT_ONCE)):
        image = read(index).flatten(1).numpy()
        low, high = image.min(1), image.max(1)
        usable = np.isfinite(low) & np.isfinite(high) & (low < high)
        bad += index[torch.from_numpy(~usable)].tolist()
        done += len(index)
        if report is not None:
            report(done, len(stack))
    return sorted(bad)


def read_volume(path: Path, *, voxel_size: float | None = None) -> Volume:
    """A map, plain or compressed with gzip or bzip2.

    Parameters
    ----------
    path
        Modes 0, 1, 2, 6 and 12, either byte order, axes in any order.
    voxel_size
        Å; taken instead of the header's.

    Raises
    ------
    InputFileError
        If the file is missing, malformed or truncated, if the map is not finite or far from
        cubic, or if neither the header nor `voxel_size` says how large a voxel is.

    Warns
    -----
    DataWarning
        If a map is not cubic: zeros are added behind it, so that every voxel keeps its place.
    """
    header = parse_header(read_beginning(path, HEADER_BYTES), path)
    content = read_beginning(path, header.file_bytes)
    if len(content) < header.file_bytes:
        raise InputFileError(
            f"{path}: truncated: its header promises {header.columns} x {header.rows} x "
            f"{header.sections} voxels in {header.file_bytes} bytes, there are {len(content)}"
        )
    edges = (header.sections, header.rows, header.columns)
    size = voxel_size if voxel_size is not None else _header_voxel_size(header, path)
    if not size > 0:
        raise InputFileError(f"{path}: the header gives no voxel size: give it with --pixel-size")
    count = math.prod(edges)
    density = np.frombuffer(content, header.dtype, count, header.data_offset).reshape(edges)
    stored = header.axes[::-1]
    density = density.transpose([stored.index(axis) for axis in (3, 2, 1)]).astype(np.float32)
    unusable = int(np.count_nonzero(~np.isfinite(density)))
    if unusable:
        raise InputFileError(
            f"{path}: a map must be finite, got NaN or infinity in {unusable} voxels"
        )
    density = _cubic(density, path)
    return Volume(torch.from_numpy(np.ascontiguousarray(density)), size, _origin(header, size))


def read_voxel_size(path: Path) -> float:
    """Voxel size that the header of a map gives, Å; 0 where it does not say."""
    return _header_voxel_size(parse_header(read_beginning(path, HEADER_BYTES), path), path)


def write_volume(path: Path, volume: Volume) -> None:
    """Write a map as float32, with its voxel size and its origin."""
    density = np.ascontiguousarray(volume.density.detach().cpu().numpy(), "<f4")
    mean, deviation = density.mean(dtype=np.float64), density.std(dtype=np.float64)
    statistics = (float(density.min()), float(density.max()), float(mean), float(deviation))
    n = volume.box_size
    header = make_header((n, n, n), volume.voxel_size, origin=volume.origin, statistics=statistics)
    with write_atomically(path) as file:
        file.write(header)
        file.write(density.data)


def write_stack(path: Path, batches: Iterable[Float[Tensor, "_ n n"]], pixel_size: float) -> None:
    """Write images as float32, batch by batch."""
    images, box_size = 0, 0
    with write_atomically(path) as file:
        file.write(bytes(HEADER_BYTES))
        for batch in batches:
            file.write(np.ascontiguousarray(batch.detach().cpu().numpy(), "<f4").data)
            images, box_size = images + len(batch), batch.shape[-1]
        file.seek(0)
        file.write(make_header((images, box_size, box_size), pixel_size, is_stack=True))


def _header_voxel_size(header: MrcHeader, path: Path) -> float:
    """Å, the same along all axes; 0 where the header does not say."""
    if any(angle not in (0.0, 90.0) for angle in header.angles):
        raise InputFileError(f"{path}: cell angles must be 90 degrees, got {header.angles}")
    x, y, z = header.voxel_size
    if not max(x, y, z) - min(x, y, z) <= 0.001 * max(x, y, z):
        raise InputFileError(f"{path}: voxels must be cubes, got {x:g} x {y:g} x {z:g} Å")
    return x


def _cubic(density: Float[np.ndarray, "z y x"], path: Path) -> Float[np.ndarray, "n n n"]:
    edge = max(density.shape)
    if min(density.shape) == edge:
        return density
    z, y, x = density.shape
    if edge**3 > _MOST_ADDED * density.size:
        raise InputFileError(f"{path}: a map must be about cubic, got {x} x {y} x {z} voxels")
    warnings.warn(
        f"{path}: a map of {x} x {y} x {z} voxels is not cubic: zeros are added up to {edge}",
        DataWarning,
        stacklevel=3,
    )
    return np.pad(density, [(0, edge - length) for length in density.shape])


def _origin(header: MrcHeader, voxel_size: float) -> tuple[float, float, float]:
    if any(header.origin) and np.isfinite(header.origin).all():
        return header.origin
    x, y, z = (header.starts[header.axes.index(axis)] * voxel_size for axis in (1, 2, 3))
    return x, y, z


def _read_stack_header(path: Path) -> MrcHeader:
    try:
        with path.open("rb") as file:
            content = file.read(HEADER_BYTES)
        found = path.stat().st_size
    except OSError as error:
        raise InputFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    header = parse_header(content, path)
    if header.columns != header.rows:
        raise InputFileError(
            f"{path}: images must be square, got {header.columns} x {header.rows} pixels"
        )
    if found < header.file_bytes:
        complete = max(0, found - header.data_offset) // header.section_bytes
        raise InputFileError(
            f"{path}: truncated: its header promises {header.sections} images in "
            f"{header.file_bytes} bytes, there are {found} bytes, enough for {complete} images"
        )
    return header


def _require_one_box(files: Sequence[Path], headers: Sequence[MrcHeader]) -> None:
    for path, header in zip(files, headers, strict=True):
        if header.columns != headers[0].columns:
            raise BoxMismatchError(
                f"{path}: all images must have one box size, got {header.columns} pixels here "
                f"and {headers[0].columns} in {files[0]}"
            )
