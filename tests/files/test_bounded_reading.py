"""Libraries that believe what a file says get neither more bytes nor more memory than allowed."""

import os
import resource
import sys

import pytest

from cryomix.files.bounded_file import BoundedFile
from cryomix.files.bounded_memory import bounded_memory


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "ten.bin"
    path.write_bytes(bytes(range(10)))
    return BoundedFile(path)


def test_bytes_come_from_where_they_are_asked_for(file):
    buffer = bytearray(3)
    assert (file.seek(4), file.readinto(buffer), file.tell()) == (4, 3, 7)
    assert buffer == bytes([4, 5, 6])
    assert file.read(100) == bytes([7, 8, 9])
    assert file.seek(-2, os.SEEK_END) == 8
    assert file.seek(1, os.SEEK_CUR) == 9


def test_more_than_there_is_is_refused_and_nothing_touched(file):
    buffer = bytearray(11)
    with pytest.raises(OSError, match="11 bytes from 0 of a file of 10"):
        file.readinto(buffer)
    assert not any(buffer)
    file.seek(8)
    with pytest.raises(OSError, match="3 bytes from 8"):
        file.readinto(bytearray(3))


def test_a_file_that_shrinks_is_noticed(file, tmp_path):
    (tmp_path / "ten.bin").write_bytes(b"12345")
    with pytest.raises(OSError, match="shorter than 10"):
        file.readinto(bytearray(10))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds memory")
def test_memory_ends_where_it_was_said_to_and_only_there():
    before = resource.getrlimit(resource.RLIMIT_AS)
    with bounded_memory(2**26):
        assert len(bytearray(2**24)) == 2**24
        with pytest.raises(MemoryError):
            bytearray(2**28)
    assert len(bytearray(2**28)) == 2**28
    with pytest.raises(ValueError, match="inside"), bounded_memory(2**26):
        raise ValueError("inside")
    assert resource.getrlimit(resource.RLIMIT_AS) == before
