"""What a rebuild that was stopped leaves is taken away, and nothing else."""

import pytest

from cryomix.files.volume_list import (
    VolumeEntry,
    remove_unfinished,
    remove_unlisted,
    update_volume_list,
)


@pytest.fixture
def folder(tmp_path):
    """A map without its second half, a file that was being written, and the list."""
    out = tmp_path / "open"
    (out / "fsc").mkdir(parents=True)
    for name in ("selection.mrc", "selection_half1.mrc", ".selection_half2.mrc.7.part"):
        (out / name).write_bytes(b"a")
    (out / "fsc" / "selection.csv").write_text("shell\n")
    update_volume_list(out, {"selection": VolumeEntry(5, 8.5)})
    return out


def test_an_unfinished_map_goes_with_its_folder(folder):
    remove_unfinished(folder, "selection")
    assert not folder.exists()
    remove_unfinished(folder, "selection")


def test_files_of_others_stay(folder):
    (folder / "notes.txt").write_text("mine")
    remove_unfinished(folder, "selection")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_finished_map_stays(folder):
    (folder / "run.toml").write_text("")
    before = sorted(folder.rglob("*"))
    remove_unfinished(folder, "selection")
    assert sorted(folder.rglob("*")) == before


def test_maps_along_a_path_that_are_not_in_the_list_go(tmp_path):
    (tmp_path / "fsc").mkdir()
    stays = ["curve001.mrc", "curve001_half1.mrc", "fsc/curve001.csv", "tour.mrc", "tours001.mrc"]
    goes = ["tour001.mrc", "tour001_half1.mrc", "tour001_half2.mrc", "fsc/tour001.csv"]
    goes += ["tour002.mrc", ".tour003.mrc.77.part"]
    listed = "tour004.mrc"
    for name in (*stays, *goes, listed):
        (tmp_path / name).write_bytes(b"x")
    update_volume_list(tmp_path, {"tour004": VolumeEntry(5, 8.0)})
    remove_unlisted(tmp_path, "tour[0-9][0-9][0-9]")
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*stays, listed, "maps.json"}


def test_a_folder_of_unlisted_maps_alone_goes_too(tmp_path):
    folder = tmp_path / "volumes"
    (folder / "fsc").mkdir(parents=True)
    (folder / "tour001.mrc").write_bytes(b"x")
    (folder / "fsc" / "tour001.csv").write_bytes(b"x")
    remove_unlisted(folder, "tour[0-9][0-9][0-9]")
    assert not folder.exists()
    remove_unlisted(folder, "tour[0-9][0-9][0-9]")
