"""Pieces of files: from any offset and thread, whole or with an error that names the file."""

import os
import threading

import pytest

from cryomix.errors import InputFileError
from cryomix.files import open_files
from cryomix.files.open_files import OpenFiles


def read(files, file, offset, *sizes):
    buffers = [bytearray(size) for size in sizes]
    files.read_into(file, offset, [memoryview(buffer) for buffer in buffers])
    return [bytes(buffer) for buffer in buffers]


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f"{number}.bin" for number in range(5)]
    for number, path in enumerate(found):
        path.write_bytes(bytes(range(number, number + 100)))
    return found


def test_buffers_are_filled_one_after_the_other(paths):
    files = OpenFiles(paths, 2)
    assert read(files, 3, 10, 2, 0, 3) == [bytes([13, 14]), b"", bytes([15, 16, 17])]
    assert read(files, 0, 97, 3) == [bytes([97, 98, 99])]
    assert read(files, 0, 97) == []


def test_reads_that_stop_in_between_go_on(paths, monkeypatch):
    whole = os.preadv
    monkeypatch.setattr(open_files, "_MOST_BUFFERS", 2)
    monkeypatch.setattr(
        os, "preadv", lambda number, buffers, offset: whole(number, [buffers[0][:3]], offset)
    )
    assert read(OpenFiles(paths, 2), 1, 0, 4, 2, 5) == [
        bytes([1, 2, 3, 4]), bytes([5, 6]), bytes([7, 8, 9, 10, 11]),
    ]  # fmt: skip


def test_only_some_files_stay_open(paths):
    before = len(os.listdir("/dev/fd"))
    files = OpenFiles(paths, 2)
    for _ in range(2):
        for number in range(5):
            assert read(files, number, 0, 1) == [bytes([number])]
    assert len(files) == 2
    assert len(os.listdir("/dev/fd")) == before + 2
    del files
    assert len(os.listdir("/dev/fd")) == before


def test_threads_do_not_disturb_one_another(paths):
    files, wrong = OpenFiles(paths, 1), []

    def keep_reading(number):
        for start in range(number, number + 90):
            if read(files, number, start - number, 5) != [bytes(range(start, start + 5))]:
                wrong.append((number, start))

    threads = [threading.Thread(target=keep_reading, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_file_that_is_too_short_is_named(paths):
    with pytest.raises(InputFileError) as caught:
        read(OpenFiles(paths, 2), 2, 90, 8, 12)
    assert str(caught.value) == (
        f"{paths[2]}: is too short: 20 bytes are needed from byte 90 on, there are 10"
    )


def test_a_file_that_is_gone_is_named(paths):
    paths[4].unlink()
    with pytest.raises(InputFileError, match=r"4\.bin: cannot be read: No such file"):
        read(OpenFiles(paths, 2), 4, 0, 1)


@pytest.mark.parametrize("is_open", [True, False])
@pytest.mark.parametrize("content", [bytes(100), bytes(70), bytes(130)])
def test_a_file_that_changes_is_refused(paths, is_open, content):
    """Even where the piece that is read is the same as before."""
    files = OpenFiles(paths, 2)
    if is_open:
        read(files, 1, 0, 2)
    os.utime(paths[1], ns=(0, 0))
    paths[1].write_bytes(content)
    with pytest.raises(InputFileError) as caught:
        read(files, 1, 0, 2)
    assert str(caught.value) == (
        f"{paths[1]}: has changed since this command began to read it: it had 100 bytes, now "
        f"{len(content)}; put the old file back, or begin anew"
    )
    assert read(files, 2, 0, 1) == [bytes([2])]


def test_a_file_that_another_one_takes_the_place_of_is_refused(paths):
    files = OpenFiles(paths, 2)
    paths[1].chmod(0o400)
    assert read(files, 1, 0, 1) == [bytes([1])]
    paths[3].write_bytes(bytes(100))
    paths[3].replace(paths[1])
    with pytest.raises(InputFileError, match=r"1\.bin: has changed since this command began"):
        read(files, 1, 0, 1)
    with pytest.raises(InputFileError, match=r"3\.bin: cannot be read: No such file"):
        read(files, 3, 0, 1)
