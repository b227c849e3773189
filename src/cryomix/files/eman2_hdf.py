"""EMAN2's HDF stacks: one group per image, with its header and its pixels."""

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from cryomix.errors import BoxMismatchError, InputFileError
from cryomix.files.bounded_file import BoundedFile
from cryomix.files.bounded_memory import bounded_memory
from cryomix.files.eman2_attributes import KEYS, WIDTH, Attributes, parse_attributes
from cryomix.files.sections import first_of_each, require_finite

if TYPE_CHECKING:
    import h5py

_OPEN_FILES = 32
_HEADER_MEMORY = 2**28  # bytes that HDF5 may take for the headers of one file
_LARGEST_ATTRIBUTE = 2**20  # bytes
_MOST_DEFLATED = 1032  # times smaller than it was: more, zlib cannot
_FILTERS = frozenset({1, 2, 3})  # deflate, shuffle, Fletcher's checksum
_MOST_BITS = 16
_PREFIX = b"EMAN."
_LOW, _HIGH, _BITS = "stored_rendermin", "stored_rendermax", "stored_renderbits"


@dataclass(frozen=True, slots=True)
class _Header:
    """What is known of one image before it is read: value = stored · step + low."""

    box_size: int
    low: float
    step: float
    values: Float[np.ndarray, "22"]


class HdfStack:
    """Images in one or many HDF files, read when asked for, from any thread.

    Links out of a file, virtual data sets, and data that lie in another file are refused.

    Parameters
    ----------
    files
        Each file once.
    file
        Index into `files` of each image.
    section
        Number of each image in its file, from 0.
    source
        The list that names the images, for messages.

    Raises
    ------
    InputFileError
        If h5py is not installed, a file cannot be read or is none of EMAN2's, or lacks an image,
        or an image is not square, of more pixels than are stored, or of unknown numbers.
    BoxMismatchError
        If the images differ in box size.
    """

    def __init__(
        self,
        files: Sequence[Path],
        file: Int64[np.ndarray, "images"],
        section: Int64[np.ndarray, "images"],
        source: Path | None = None,
    ) -> None:
        self.files = tuple(files)
        self._file = file
        self._section = section
        self._open: OrderedDict[int, h5py.File] = OrderedDict()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._low, self._step = np.zeros(len(file)), np.ones(len(file))
        values = np.full((len(file), WIDTH), np.nan)
        box_size = np.zeros(len(file), np.int64)
        order = np.lexsort((section, file))
        for rows in np.split(order, np.flatnonzero(np.diff(file[order])) + 1):
            for row, header in self._read_headers(rows):
                box_size[row], values[row] = header.box_size, header.values
                self._low[row], self._step[row] = header.low, header.step
        self.attributes = Attributes(values)
        self.box_size = _common_box(box_size, self.files, file, source)

    def __len__(self) -> int:
        return len(self._file)

    def first_of_each(self) -> Int64[np.ndarray, "images"]:
        """Index of the first image that is the same section of the same file."""
        return first_of_each(self._file, self._section)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order, float32.

        Raises
        ------
        InputFileError
            If one of them holds NaN or infinity, or can no longer be read.
        """
        images = self.read_as_stored(index)
        require_finite(images, index, self._name)
        return images

    def read_as_stored(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, whatever they hold."""
        wanted = index.cpu().numpy()
        if len(wanted) and not 0 <= wanted.min() <= wanted.max() < len(self):
            raise IndexError(f"{len(self)} images, got indices {wanted.min()} to {wanted.max()}")
        images = np.empty((len(wanted), self.box_size, self.box_size), np.float32)
        for place in np.lexsort((self._section[wanted], self._file[wanted])).tolist():
            image = int(wanted[place])
            with self._reading(int(self._file[image])) as file:
                pixels = file[f"MDF/images/{self._section[image]}/image"]
                images[place] = pixels[()].reshape(self.box_size, self.box_size)
        step = self._step[wanted][:, None, None].astype(np.float32)
        low = self._low[wanted][:, None, None].astype(np.float32)
        np.multiply(images, step, out=images)
        np.add(images, low, out=images)
        return torch.from_numpy(images)

    def _read_headers(self, rows: Int64[np.ndarray, "rows"]) -> Iterator[tuple[int, _Header]]:
        """Headers of images of one file in ascending order; copies of one are read once."""
        if not len(rows):
            return
        number = int(self._file[rows[0]])
        with bounded_memory(_HEADER_MEMORY), self._reading(number) as file:
            group = _images_group(file, self.files[number])
            last, header = -1, None
            for row in rows.tolist():
                section = int(self._section[row])
                if header is None or section != last:
                    try:
                        header = _read_header(group, section)
                    except ValueError as error:
                        raise InputFileError(f"{self._name(row)}: {error}") from error
                last = section
                yield row, header

    @contextmanager
    def _reading(self, number: int) -> "Iterator[h5py.File]":
        with _one_line(self.files[number]):
            yield self._opened(number)

    def _opened(self, number: int) -> "h5py.File":
        with self._lock:
            if self._process != os.getpid():  # handles of HDF5 do not outlive a fork
                self._open, self._process = OrderedDict(), os.getpid()
            if number not in self._open:
                self._open[number] = _open(self.files[number])
            self._open.move_to_end(number)
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)
            return self._open[number]

    def _name(self, image: int) -> str:
        return f"{self.files[self._file[image]]}: image {self._section[image]}"


def open_hdf(path: Path) -> HdfStack:
    """All images of one file."""
    with bounded_memory(_HEADER_MEMORY), _one_line(path), _open(path) as file:
        group = _images_group(file, path)
        last = group.attrs.get("imageid_max")
        count = int(np.asarray(last).item()) + 1 if np.size(last) == 1 and last is not None else 0
        if not 1 <= count <= len(group):
            raise InputFileError(
                f"{path}: imageid_max must count its images, got {last} with {len(group)} of them"
            )
    return HdfStack([path], np.zeros(count, np.int64), np.arange(count))


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Whatever h5py finds wrong with a file, as an error that names it."""
    try:
        yield
    except InputFileError:
        raise
    except (OSError, LookupError, RuntimeError, ValueError, TypeError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        raise InputFileError(f"{path}: cannot be read as HDF5: {reason}") from error


def _open(path: Path) -> "h5py.File":
    try:
        import h5py  # an optional dependency
    except ImportError as error:
        raise InputFileError(f"{path}: HDF needs h5py: pip install 'cryomix[eman2]'") from error

    with _one_line(path):
        return h5py.File(BoundedFile(path), "r")


def _images_group(file: "h5py.File", path: Path) -> "h5py.Group":
    """``/MDF/images``, which must not lie in another file."""
    import h5py

    group: h5py.Group = file
    for name in ("MDF", "images"):
        _require_own(group, name)
        group = group[name]
    if not isinstance(group, h5py.Group):
        raise InputFileError(f"{path}: /MDF/images must be a group")
    return group


def _require_own(group: "h5py.Group", name: str) -> None:
    """Refuse what is not there, or is a link to elsewhere."""
    import h5py

    key = name.encode()
    if not group.id.links.exists(key):
        raise ValueError(f"there is no {name!r}, so it is no image of EMAN2")
    if group.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name!r} must not be a link to elsewhere")


def _read_header(group: "h5py.Group", section: int) -> _Header:
    """What is known of an image; ValueError where it is not as EMAN2 writes it."""
    import h5py

    _require_own(group, str(section))
    image = group[str(section)]
    if not isinstance(image, h5py.Group):
        raise ValueError("must be a group")
    _require_own(image, "image")
    pixels = image["image"]
    if not isinstance(pixels, h5py.Dataset):
        raise ValueError("'image' must be a data set")
    box_size = _require_usable(pixels)
    values = parse_attributes(_read_attributes(image, KEYS))
    low, step = _scale(_read_attributes(image, (_LOW, _HIGH, _BITS)))
    return _Header(box_size, low, step, values)


def _require_usable(pixels: "h5py.Dataset") -> int:
    """Box size of an image whose pixels are all stored in its file."""
    import h5py

    shape = pixels.shape
    if pixels.dtype.kind not in "fiu" or pixels.dtype.itemsize > 8:
        raise ValueError(f"pixels must be numbers, got {pixels.dtype}")
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(f"images must be square, got {' x '.join(map(str, pixels.shape))} pixels")
    properties = pixels.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise ValueError("pixels must lie in the file itself")
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if filters - _FILTERS:
        raise ValueError(f"pixels must be compressed by deflate, got filter {min(filters)}")
    needed = shape[0] * shape[1] * pixels.dtype.itemsize
    most = pixels.id.get_storage_size() * (_MOST_DEFLATED if 1 in filters else 1)
    if needed > most:
        raise ValueError(f"{needed} bytes of pixels are promised, fewer are stored")
    if pixels.chunks is not None and np.prod(pixels.chunks) > shape[0] * shape[1]:
        raise ValueError(f"chunks must not be larger than the image, got {pixels.chunks}")
    return int(shape[0])


def _read_attributes(group: "h5py.Group", keys: Sequence[str]) -> dict[str, object]:
    import h5py

    found: dict[str, object] = {}
    for key in keys:
        name = _PREFIX + key.encode()
        if not h5py.h5a.exists(group.id, name):
            continue
        attribute = h5py.h5a.open(group.id, name)
        if attribute.get_storage_size() > _LARGEST_ATTRIBUTE:
            raise ValueError(f"{key} must have at most {_LARGEST_ATTRIBUTE} bytes")
        found[key] = _plain(group.attrs[name])
    return found


def _plain(value: object) -> object:
    """Numbers, lists and text of Python; truth is written as the letter T or F."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").rstrip("\0")
    if not isinstance(value, np.ndarray | np.generic):
        return value
    if value.dtype == np.int8:
        return np.asarray(value).item() == ord("T")
    if value.dtype.names is not None:  # a Transform: one record of twelve numbers
        return list(np.asarray(value).item())
    plain = value.tolist()
    return plain[0] if isinstance(plain, list) and len(plain) == 1 else plain


def _scale(found: dict[str, object]) -> tuple[float, float]:
    """Least value, and step from one stored integer to the next."""
    if not found:
        return 0.0, 1.0
    low, high, bits = (found.get(key) for key in (_LOW, _HIGH, _BITS))
    if not isinstance(bits, int) or not 0 <= bits <= _MOST_BITS:
        raise ValueError(f"{_BITS} must be 0 to {_MOST_BITS}, got {bits}")
    if bits == 0:
        return 0.0, 1.0
    if not (isinstance(low, float) and isinstance(high, float) and np.isfinite([low, high]).all()):
        raise ValueError(f"{_LOW} and {_HIGH} must be finite numbers, got {low} and {high}")
    return low, (high - low) / (2**bits - 1)


def _common_box(
    box_size: Int64[np.ndarray, "images"],
    files: Sequence[Path],
    file: Int64[np.ndarray, "images"],
    source: Path | None,
) -> int:
    if not len(box_size):
        raise InputFileError(f"{source or files}: lists no images")
    other = np.flatnonzero(box_size != box_size[0])
    if len(other):
        row = int(other[0])
        raise BoxMismatchError(
            f"{files[file[row]]}: images must have the box of {files[file[0]]}, {box_size[0]} px, "
            f"got {box_size[row]} px"
        )
    return int(box_size[0])
