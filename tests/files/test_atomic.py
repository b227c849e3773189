"""A file is there whole, or as it was before."""

import errno
import os
import re
from pathlib import Path

import pytest

from cryomix.errors import OutputError
from cryomix.files.atomic import remove_partial_files, write_atomically


def test_folders_are_made_and_the_file_is_whole(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    with write_atomically(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        _write_half(path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_an_output_error(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file.txt"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse)
    with (
        pytest.raises(OutputError, match=r"file\.txt: cannot be written: No space left on device"),
        write_atomically(path) as file,
    ):
        file.write(b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_named_with_what_is_left(tmp_path):
    path = tmp_path / "file.txt"
    (tmp_path / f".file.txt.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(OutputError) as caught, write_atomically(path) as file:
        file.write(b"new")
    assert re.fullmatch(
        rf"{path}: cannot be written: No space left on device "
        r"\(the disk at /\S* has [\d.]+ MB left\)",
        str(caught.value),
    )
    assert list(tmp_path.iterdir()) == []


def test_what_killed_programs_left_is_taken_away(tmp_path):
    with write_atomically(tmp_path / "a" / "file.txt") as file:
        file.write(b"whole")
    for left in (tmp_path / ".x.mrc.12.part", tmp_path / "a" / ".file.txt.4711.part"):
        left.write_bytes(b"half")
    (tmp_path / "my.part").touch()
    remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "file.txt", "my.part"]


def test_a_file_in_the_way_is_an_output_error(tmp_path):
    (tmp_path / "file.txt").write_bytes(b"old")
    path = tmp_path / "file.txt" / "x.star"
    with (
        pytest.raises(OutputError, match=r"x\.star: cannot be written: "),
        write_atomically(path),
    ):
        pass


def _write_half(path):
    with write_atomically(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
