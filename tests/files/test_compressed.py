"""Compressed files are read up to a bound, whatever they would become."""

import bz2
import gzip
import tracemalloc

import pytest

from cryomix.errors import InputFileError
from cryomix.files import compressed
from cryomix.files.compressed import read_beginning
from cryomix.files.mrc import read_volume, read_voxel_size
from cryomix.files.mrc_header import make_header

PLAIN = bytes(range(256)) * 40


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress])
def test_only_as_much_as_is_asked_for(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(PLAIN))
    assert read_beginning(path, 1000) == PLAIN[:1000]
    assert read_beginning(path, len(PLAIN)) == PLAIN
    assert read_beginning(path, 2**40) == PLAIN


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_there_is_a_largest_decompressed_size(tmp_path, monkeypatch, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(PLAIN))
    monkeypatch.setattr(compressed, "LARGEST_DECOMPRESSED", len(PLAIN) - 1)
    with pytest.raises(
        InputFileError, match=r"file: at most 0 GiB are decompressed, here are more"
    ):
        read_beginning(path, len(PLAIN))
    monkeypatch.setattr(compressed, "LARGEST_DECOMPRESSED", len(PLAIN))
    assert read_beginning(path, 2**40) == PLAIN


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_a_small_file_with_a_large_promise_takes_no_memory(tmp_path, pack):
    """The header promises 4 GiB of voxels, of which there are none."""
    path = tmp_path / "map.mrc.gz"
    path.write_bytes(pack(make_header((1024, 1024, 1024), 1.0)))
    assert read_voxel_size(path) == 1.0
    tracemalloc.start()
    with pytest.raises(InputFileError, match="truncated: its header promises 1024 x 1024 x 1024"):
        read_volume(path)
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_file_that_expands_without_end_is_read_up_to_its_map(tmp_path):
    """1 kB that becomes 64 MB, behind the header of a map of 4 kB."""
    path = tmp_path / "map.mrc.bz2"
    path.write_bytes(bz2.compress(make_header((8, 8, 8), 1.0) + bytes(64 * 2**20)))
    tracemalloc.start()
    assert read_volume(path).box_size == 8
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()
