"""Arrays are read only if their file holds what the header promises."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from cryomix.errors import CheckpointError, InputFileError
from cryomix.files.checkpoint import read_array
from cryomix.files.truth import read_arrays


def npy(array, version=None):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version=version, allow_pickle=False)
    return file.getvalue()


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.asfortranarray(np.arange(24).reshape(2, 3, 4)),
        np.array([True, False]),
        np.array(3.5),
        np.array(["näive", "text"]),
        np.zeros((0, 5), np.int8),
        np.arange(5, dtype=">i2"),
    ],
)
def test_arrays_come_back_as_numpy_reads_them(tmp_path, array, version):
    path = tmp_path / "x.npy"
    path.write_bytes(npy(array, version))
    found = read_array(path)
    np.testing.assert_array_equal(found, np.load(path), strict=array.dtype.isnative)
    assert found.dtype.isnative
    assert found.flags.writeable


def header(text, version=1):
    text = text.encode().ljust(117) + b"\n"
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text


def described(shape, descr="'<f4'"):
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}")


HOSTILE = [
    (described("(10000000000,)") + bytes(100), "truncated: 40000000000 bytes are promised"),
    (described("(2305843009213693952, 8)") + bytes(100), "truncated"),
    (described("(-1,)") + bytes(100), "cannot have the shape"),
    (described("(True,)") + bytes(100), "cannot have the shape"),
    (described("(3,)", "'|O'") + bytes(100), "holds object instead of numbers"),
    (described("(3,)", "[('a', '<f4')]") + bytes(100), "instead of numbers"),
    (described("(3,)", "'<U0'") + bytes(100), "instead of numbers"),
    (b"\x93NUMPY\x02\x00" + b"\xff\xff\xff\xff" + bytes(100), "a header has at most"),
    (b"\x93NUMPY\x03\x00" + bytes(100), "format 1 or 2 is read, got 3.0"),
]


@pytest.mark.parametrize(("content", "message"), HOSTILE)
def test_a_header_that_promises_too_much_takes_no_memory(tmp_path, content, message):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=message):
        read_array(path)
    with pytest.raises(InputFileError, match=message):
        read_arrays(tmp_path / "x.npz", "a truth")
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def test_an_archive_may_not_expand_without_end(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "ab":
            archive.writestr(f"{name}.npy", npy(np.zeros(10)))
    content = bytearray(path.read_bytes())
    start = content.find(b"PK\x01\x02")
    while start >= 0:  # the uncompressed size of each in the central directory
        content[start + 24 : start + 28] = b"\xfe\xff\xff\xff"
        start = content.find(b"PK\x01\x02", start + 1)
    path.write_bytes(content)
    with pytest.raises(InputFileError, match="a truth must have at most 4 GiB"):
        read_arrays(path, "a truth")
