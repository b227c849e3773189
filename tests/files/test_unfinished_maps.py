"""What a rebuild that was stopped leaves is taken away, and nothing else."""

import pytest

from cryomix.files.volume_list import VolumeEntry, remove_unfinished, update_volume_list


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
