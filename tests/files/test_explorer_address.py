"""The secret address of a job's explorer is used only where nobody else can know it."""

import json
import os
import shutil
import stat

import pytest

from cryomix.errors import OutputError
from cryomix.files.explorer_address import (
    ExplorerAddress,
    forget_address,
    keep_address,
    read_address,
)
from cryomix.files.job import JobFolder, create_job

ADDRESS = ExplorerAddress(40123, "x" * 32)


@pytest.fixture
def job(tmp_path) -> JobFolder:
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    return folder


@pytest.fixture
def kept(job) -> JobFolder:
    assert keep_address(job, ADDRESS)
    return job


def test_what_was_kept_comes_back_and_only_its_user_can_read_it(kept):
    assert read_address(kept) == ADDRESS
    assert stat.S_IMODE(kept.explorer_address.stat().st_mode) == 0o600
    assert [path.name for path in kept.path.iterdir()] == [".view.json"]
    assert keep_address(kept, ExplorerAddress(1, "y" * 32))
    assert read_address(kept) == ExplorerAddress(1, "y" * 32)
    forget_address(kept)
    forget_address(kept)
    assert read_address(kept) is None


def test_a_umask_that_lets_all_in_changes_nothing(job):
    before = os.umask(0)
    try:
        assert keep_address(job, ADDRESS)
    finally:
        os.umask(before)
    assert stat.S_IMODE(job.explorer_address.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_file_that_others_can_open_is_not_used(kept, mode):
    kept.explorer_address.chmod(mode)
    assert read_address(kept) is None


def test_a_file_of_another_user_is_not_used(kept, monkeypatch):
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert read_address(kept) is None
    assert not keep_address(kept, ADDRESS)


def test_a_link_is_not_followed_and_a_second_name_is_noticed(kept, tmp_path):
    os.link(kept.explorer_address, tmp_path / "second")
    assert read_address(kept) is None
    (tmp_path / "second").unlink()
    assert read_address(kept) == ADDRESS
    kept.explorer_address.rename(tmp_path / "elsewhere")
    kept.explorer_address.symlink_to(tmp_path / "elsewhere")
    assert read_address(kept) is None
    kept.explorer_address.unlink()
    os.mkfifo(kept.explorer_address, 0o600)
    assert read_address(kept) is None


def test_a_copy_of_the_job_does_not_have_its_secret(kept, tmp_path):
    copied = JobFolder(tmp_path / "copy")
    shutil.copytree(kept.path, copied.path)
    assert copied.explorer_address.is_file()
    assert read_address(copied) is None
    kept.path.rename(tmp_path / "moved")
    assert read_address(JobFolder(tmp_path / "moved")) is None


@pytest.mark.parametrize(
    "change", [{"port": 0}, {"port": 65536}, {"port": "40123"}, {"port": True}, {"token": "short"},
               {"token": "x" * 31 + "/"}, {"token": 7}, {"job": None}],
)  # fmt: skip
def test_what_is_no_address_is_not_used(kept, change):
    told = json.loads(kept.explorer_address.read_text())
    kept.explorer_address.write_text(json.dumps({**told, **change}))
    assert read_address(kept) is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b"7", b"{}", b"[" * 60_000])
def test_what_is_no_table_is_not_used(kept, content):
    kept.explorer_address.write_bytes(content)
    assert read_address(kept) is None


def test_where_nothing_can_be_written_nothing_is_kept(job, monkeypatch):
    real = os.open

    def refuse(path, flags, mode=0o777):
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    assert not keep_address(job, ADDRESS)
    monkeypatch.undo()
    assert list(job.path.iterdir()) == []


def test_a_folder_where_the_file_stands_is_an_output_error(job):
    job.explorer_address.mkdir()
    assert not keep_address(job, ADDRESS)
    with pytest.raises(OutputError, match=r"\.view\.json: cannot be taken away"):
        forget_address(job)
    assert [path.name for path in job.path.iterdir()] == [".view.json"]


def test_a_folder_with_nothing_but_an_address_is_empty_for_a_new_job(kept):
    create_job(kept.path, resume=False)
    assert read_address(kept) == ADDRESS
