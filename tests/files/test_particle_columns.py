"""Columns that particles are coloured and chosen by, of every program's files."""

import json

import numpy as np
import pytest
from files_of_eman2 import write_lst
from files_of_others import CryosparcFile, save_table

from cryomix.errors import InputFileError
from cryomix.files import text_column
from cryomix.files.particle_file import (
    columns_of_numbers,
    read_column,
    read_directions,
    read_particles,
    read_text_column,
)


def texts_of(path, name):
    column = read_text_column(path, name)
    assert len(set(column.texts)) == len(column.texts)
    return [column.texts[number] for number in column.number]


def test_fields_of_cryosparc_that_hold_one_value(tmp_path):
    file = CryosparcFile(tmp_path)
    uid = np.array([2**63 + 1, 2**63 + 2, 2**63 + 1], "<u8")
    file.fields["location/micrograph_uid"] = uid
    file.fields["location/micrograph_path"] = np.array([b"m/one.mrc", b"m/two.mrc", b"m/one.mrc"])
    file.fields["alignments3D/class"] = np.array([2, 0, 2], "<u4")
    path = file.write()
    found = columns_of_numbers(path)
    assert found["ctf/df1_A"] is found["alignments3D/class"] is True
    assert found["location/micrograph_path"] is found["location/micrograph_uid"] is False
    assert not {"alignments3D/pose", "alignments3D/shift", "blob/shape"} & set(found)
    wanted = file.fields["ctf/df1_A"].astype(np.float64)
    assert read_column(path, "ctf/df1_A").tolist() == wanted.tolist()
    assert texts_of(path, "location/micrograph_uid") == [str(number) for number in uid]
    assert texts_of(path, "location/micrograph_path") == ["m/one.mrc", "m/two.mrc", "m/one.mrc"]
    assert texts_of(path, "alignments3D/class") == ["2", "0", "2"]


def test_a_field_of_many_rows_is_read_in_parts(tmp_path):
    path = tmp_path / "many.cs"
    count = 70_000
    value = np.random.default_rng(0).normal(size=count).astype("<f4")
    save_table(path, {"uid": np.arange(count).astype("<u8"), "score": value})
    np.testing.assert_array_equal(read_column(path, "score"), value.astype(np.float64))
    with path.open("ab") as file:
        file.write(b"1234")
    with pytest.raises(InputFileError, match="longer than it should be"):
        read_column(path, "score")


def test_a_number_that_is_none_is_named_by_its_row(tmp_path):
    file = CryosparcFile(tmp_path)
    file.set("ctf/df1_A", 1.0, np.nan, 2.0)
    with pytest.raises(InputFileError, match=r"ctf/df1_A must be finite, got \[nan\] in row 2"):
        read_column(file.write(), "ctf/df1_A")


def test_directions_are_those_of_the_poses(tmp_path):
    generator = np.random.default_rng(1)
    file = CryosparcFile(tmp_path)
    file.fields["alignments3D/pose"] = generator.normal(size=(3, 3)).astype("<f4")
    path = file.write()
    rotation = read_particles(path).poses.rotation.double().numpy()
    azimuth, tilt = np.radians(read_directions(path)).T
    # The last row of model → view is the direction of the beam in the model.
    seen = np.stack([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
    np.testing.assert_allclose(seen.T, rotation[:, 2], atol=1e-6)
    assert read_directions(tmp_path / "a.star") is None


def test_keys_of_a_list_of_eman2(tmp_path):
    path = tmp_path / "some.lst"
    said = [
        {"class": number % 2, "score": -0.5 * number, "ptcl_repr": "a" if number else "b",
         "xform.projection": {"__class__": "Transform"}, "seen": True}
        for number in range(4)
    ]  # fmt: skip
    write_lst(
        path, [(number, "a.hdf", json.loads(json.dumps(row))) for number, row in enumerate(said)]
    )
    assert columns_of_numbers(path) == {
        "class": True, "score": True, "ptcl_repr": False, "seen": False
    }  # fmt: skip
    assert read_column(path, "score").tolist() == [0, -0.5, -1, -1.5]
    assert texts_of(path, "ptcl_repr") == ["b", "a", "a", "a"]
    assert texts_of(path, "class") == ["0", "1", "0", "1"]


def test_texts_that_all_differ_group_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(text_column, "_MOST_TEXTS", 2)
    file = CryosparcFile(tmp_path)
    with pytest.raises(InputFileError, match="uid must hold at most 2 different texts"):
        read_text_column(file.write(), "uid")
