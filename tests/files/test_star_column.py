"""One column of a large STAR file: the same as of the whole file, in little memory."""

import tracemalloc

import numpy as np
import pytest

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.particle_file import read_column
from cryomix.files.relion_table import particle_block
from cryomix.files.star import read_star
from cryomix.files.star_column import read_number_column, read_text_column

OPTICS = (
    "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n1 300\n2 200\n"
)
TABLE = (
    "\ndata_particles\n\nloop_ \n_rlnImageName #1 \n_rlnDefocusU #2 \n_rlnMicrographName #3 \n"
    "_rlnOpticsGroup #4 \n1@a.mrcs 9000.5 'one two.mrc' 1\n\n# in between\n"
    "2@a.mrcs -1e3 b.mrc 2 # at the end\n3@a.mrcs 7 'one two.mrc' 1\n\n"
)
FILES = {
    "relion 3.1": OPTICS + TABLE,
    "other blocks after it": TABLE + "\ndata_general\n\n_rlnMany 3\n\n" + OPTICS,
    "windows": (OPTICS + TABLE).replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + TABLE.lstrip(),
    "relion 3.0": TABLE.replace("data_particles", "data_"),
    "another block names images": TABLE.replace("data_particles", "data_old")
    + TABLE.replace("9000.5", "1.25"),
    "labels without numbers": TABLE.replace(" #1 ", "").replace(" #2 ", "").replace(
        " #3 ", ""
    ).replace(" #4 ", ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_column_is_that_of_the_whole_file(tmp_path, kind):
    path = tmp_path / "particles.star"
    path.write_bytes(FILES[kind].encode())
    block = particle_block(read_star(path))
    assert len(block) == 3
    found = read_number_column(path, "rlnDefocusU")
    assert found.tolist() == block.floats("rlnDefocusU").tolist()
    texts = read_text_column(path, "rlnMicrographName")
    assert [texts.texts[number] for number in texts.number] == block.column("rlnMicrographName")
    assert len(texts.texts) == 2


def test_a_column_of_the_optics_groups_is_that_of_each_particle(tmp_path):
    path = tmp_path / "particles.star"
    path.write_text(OPTICS + TABLE)
    assert read_column(path, "rlnVoltage").tolist() == [300, 200, 300]
    with pytest.raises(MissingColumnError, match="lacks _rlnNothing"):
        read_column(path, "rlnNothing")


@pytest.mark.parametrize(
    ("was", "is_now", "message"),
    [("2@a.mrcs -1e3 b.mrc 2", "2@a.mrcs -1e3 b.mrc", "line 21: data_particles has 4 columns"),
     ("-1e3", "many", "_rlnDefocusU must be a finite number, got 'many' in row 2"),
     ("-1e3", "nan", "_rlnDefocusU must be a finite number, got 'nan' in row 2"),
     ("_rlnMicrographName #3", "_rlnDefocusU #3", "_rlnDefocusU of data_particles was there")],
)  # fmt: skip
def test_a_malformed_file_is_refused_with_its_place(tmp_path, was, is_now, message):
    path = tmp_path / "particles.star"
    path.write_text((OPTICS + TABLE).replace(was, is_now))
    with pytest.raises(InputFileError, match=message) as refused:
        read_number_column(path, "rlnDefocusU")
    if "line" in message:
        with pytest.raises(InputFileError, match=message) as whole:
            read_star(path)
        assert str(refused.value) == str(whole.value)


def test_a_file_is_never_held_in_memory(tmp_path):
    path = tmp_path / "particles.star"
    count, rest = 60_000, " 1.000000" * 30
    labels = ["_rlnImageName", "_rlnDefocusU", *(f"_rlnOther{number}" for number in range(30))]
    with path.open("w") as file:
        file.write("\n".join(["data_particles", "loop_", *labels, ""]))
        file.writelines(f"{row}@a.mrcs {row}.5{rest}\n" for row in range(count))
    tracemalloc.start()
    try:
        found = read_number_column(path, "rlnDefocusU")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, np.arange(count) + 0.5)
    assert peak < path.stat().st_size / 2
