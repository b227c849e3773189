"""STAR text: what is read, what is refused, and that rows come back as they were."""

import contextlib
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.star import StarFile, make_block, read_star, write_star

TWO_BLOCKS = b"""# made by hand

# version 30001
data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
  1   300.000

# version 30001
data_particles

loop_
_rlnImageName #1
_rlnDefocusU #2
000001@a.mrcs    10000.5
  000002@a.mrcs  1.2e+04\t

"""


def star_of(folder: Path, content: bytes) -> StarFile:
    path = folder / "some.star"
    path.write_bytes(content)
    return read_star(path)


def only_block(folder, rows, labels=("_a #1", "_b #2"), name=""):
    text = f"data_{name}\n\nloop_\n" + "".join(f"{label}\n" for label in labels) + rows
    (block,) = star_of(folder, text.encode()).blocks
    return block


def test_blocks_keep_their_order_and_rows_their_text(tmp_path):
    star = star_of(tmp_path, TWO_BLOCKS)
    assert [block.name for block in star.blocks] == ["optics", "particles"]
    particles = star.block("particles")
    assert particles.labels == ("rlnImageName", "rlnDefocusU")
    assert particles.rows == [b"000001@a.mrcs    10000.5", b"  000002@a.mrcs  1.2e+04\t"]
    assert particles.column("rlnImageName") == ["000001@a.mrcs", "000002@a.mrcs"]
    values = particles.floats("rlnDefocusU")
    assert values.dtype == np.float64
    assert values.tolist() == [10000.5, 12000.0]
    assert star.has("optics")
    assert not star.has("general")


def test_a_file_comes_out_as_it_went_in(tmp_path):
    write_star(tmp_path / "out.star", star_of(tmp_path, TWO_BLOCKS))
    assert (tmp_path / "out.star").read_bytes() == TWO_BLOCKS


def test_windows_line_ends_are_read_and_kept(tmp_path):
    content = TWO_BLOCKS.replace(b"\n", b"\r\n")
    star = star_of(tmp_path, content)
    assert star.block("particles").floats("rlnDefocusU").tolist() == [10000.5, 12000.0]
    write_star(tmp_path / "out.star", star)
    assert (tmp_path / "out.star").read_bytes() == content


def test_the_last_line_needs_no_end(tmp_path):
    assert only_block(tmp_path, "1 2\n3 4").column("b") == ["2", "4"]


@pytest.mark.parametrize("name", ["", "images"])
def test_unnamed_blocks(tmp_path, name):
    assert only_block(tmp_path, "1 2\n", name=name).name == name


def test_an_empty_loop_has_no_rows(tmp_path):
    block = only_block(tmp_path, "\n")
    assert len(block) == 0
    assert block.column("a") == []
    assert block.floats("b").shape == (0,)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes(tmp_path, quote):
    row = f"{quote}two words{quote} {quote}{quote}\nit's {quote} {quote}\n{quote}a'b{quote} x\n"
    block = only_block(tmp_path, row)
    assert block.column("a") == ["two words", "it's", "a'b"]
    assert block.column("b") == ["", " ", "x"]


@pytest.mark.parametrize(
    "value", ["0001", "a#b", "#b", "_x", "data_x", "loop_", "mü/é.mrc", "1_000.mrc"]
)
def test_values_that_other_readers_lose(tmp_path, value):
    block = only_block(tmp_path, f"1 {value}\n2 {value}\n")
    assert block.column("b") == [value, value]
    if not value.startswith("#"):
        block = only_block(tmp_path, f"{value} 1\n{value} 2\n")
        assert block.column("a") == [value, value]


@pytest.mark.parametrize("value", ["_x", "data_x", "#3", "0001"])
def test_values_in_a_loop_of_one_column(tmp_path, value):
    quoted = f'"{value}"' if value == "#3" else value
    block = only_block(tmp_path, f"{quoted}\n{quoted}\n", labels=("_a #1",))
    assert block.column("a") == [value, value]


def test_a_block_may_follow_a_loop_of_one_column(tmp_path):
    star = star_of(tmp_path, b"data_a\nloop_\n_x\n1\n\ndata_b\nloop_\n_y\n2\n")
    assert [(block.name, len(block)) for block in star.blocks] == [("a", 1), ("b", 1)]


def test_a_block_may_follow_without_a_blank_line(tmp_path):
    star = star_of(tmp_path, b"data_a\nloop_\n_x\n_y\n1 2\ndata_b\n_z 3\n")
    assert [(block.name, len(block)) for block in star.blocks] == [("a", 1), ("b", 1)]


def test_comments_are_not_rows(tmp_path):
    block = only_block(tmp_path, "# first\n1 2\n  # between\n3 4 # behind\n\n# last\n")
    assert block.column("a") == ["1", "3"]
    assert block.column("b") == ["2", "4"]
    assert block.extended({"c": [5, 6]}).column("c") == ["5", "6"]


def test_long_tables_are_read_and_written_whole(tmp_path):
    numbers = range(10_000)
    path = tmp_path / "long.star"
    block = make_block("x", {"n": numbers, "q": [f"'{number}" for number in numbers]})
    write_star(path, StarFile(path, (block,)))
    again = read_star(path).block("x")
    assert again.floats("n").tolist() == list(numbers)
    assert again.column("q") == [f"'{number}" for number in numbers]


def test_names_that_are_no_text_survive(tmp_path):
    content = b"data_\nloop_\n_a\n_b\n1 \xff\xfe.mrcs\n"
    block = star_of(tmp_path, content).blocks[0]
    assert Path(block.column("b")[0]).name.encode("utf-8", "surrogateescape") == b"\xff\xfe.mrcs"


def test_pairs_are_one_row(tmp_path):
    text = b"data_general\n\n_rlnName 'two words'  # why\n_rlnCount   32\n# end\n"
    block = star_of(tmp_path, text).block("general")
    assert not block.is_loop
    assert block.column("rlnName") == ["two words"]
    assert block.floats("rlnCount").tolist() == [32.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a STAR file holds data_ blocks, but here is none"),
        (b"hello\ndata_\n", "line 1: a data_ block must begin here, got 'hello'"),
        (b"\x00\x01\x02", "line 1: a data_ block must begin here"),
        (b"data_p\nloop_\n_a\n_b\n1 2\n1 2 3\n", "line 6: data_p has 2 columns but this row 3 val"),
        (b"data_p\nloop_\n_a\n_b\n1 2\n\n1\n", "line 7: data_p has 2 columns but this row 1 val"),
        (b"data_p\nloop_\n_a #1\n_a #2\n1 2\n", "line 4: column _a of data_p was there before"),
        (b"data_p\n_a 1\n_a 2\n", "line 3: _a of data_p was there before"),
        (b"data_p\n_a 1\n\ndata_p\n_b 1\n", "line 4: data_p was there before, in line 1"),
        (b"data_p\n_a\n", "line 2: _a must have one value, got 0"),
        (b"data_p\n_a 1 2\n", "line 2: _a must have one value, got 2"),
        (b"data_p\n1 2\n", "line 2: data_p must list _name and value, got '1 2'"),
        (b"data_p\nloop_\n1 2\n", "line 2: the loop of data_p has no columns"),
        (b"data_p\nloop_\n_a\n_b\n1 2\nloop_\n_c\n3\n", "line 6: data_p has 2 columns but"),
    ],
)
def test_malformed_text_is_refused(tmp_path, content, message):
    with pytest.raises(InputFileError) as caught:
        star_of(tmp_path, content)
    assert type(caught.value) is InputFileError
    assert str(caught.value).startswith(f"{tmp_path / 'some.star'}: {message}")
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"none\.star: cannot be read: No such file"):
        read_star(tmp_path / "none.star")
    with pytest.raises(InputFileError, match="cannot be read: Is a directory"):
        read_star(tmp_path)


def test_a_word_is_no_number(tmp_path):
    block = only_block(tmp_path, "1 2\n3 abc\n", name="p")
    with pytest.raises(InputFileError, match=r"_b must be a number, got 'abc' in row 2 of data_p$"):
        block.floats("b")


def test_missing_columns_and_blocks_are_named(tmp_path):
    star = star_of(tmp_path, TWO_BLOCKS)
    with pytest.raises(MissingColumnError, match=r"some\.star: data_optics lacks _rlnX, _rlnY$"):
        star.block("optics").float_columns(["rlnX", "rlnVoltage", "rlnY"])
    with pytest.raises(InputFileError, match="there is no block data_general"):
        star.block("general")


def test_a_selection_keeps_rows_and_other_blocks(tmp_path):
    star = star_of(tmp_path, TWO_BLOCKS)
    chosen = star.block("particles").selected(np.array([1]))
    chosen = chosen.extended({"cryomixLatent1": np.array([0.1], np.float32)})
    write_star(tmp_path / "out.star", star.with_block(chosen))
    before = TWO_BLOCKS.split(b"_rlnDefocusU #2\n")[0]
    expected = b"_rlnDefocusU #2\n_cryomixLatent1 #3 \n  000002@a.mrcs  1.2e+04\t0.1\n\n"
    assert (tmp_path / "out.star").read_bytes() == before + expected


def test_columns_are_added_and_replaced(tmp_path):
    block = only_block(tmp_path, "1   'x y' 3\n4 5 6\n", labels=("_a", "_b", "_c"))
    more = block.extended({"b": ["p q", 7], "new": [1.5, 1e-7], "flag": [True, False]})
    assert more.rows == [b"1   'p q' 3 1.5 1", b"4 7 6 1e-07 0"]
    assert more.labels == ("a", "b", "c", "new", "flag")
    assert block.column("b") == ["x y", "5"]
    with pytest.raises(ValueError, match="2 rows but 1 values of new"):
        block.extended({"new": [1]})
    with pytest.raises(ValueError, match="finite numbers only, got nan"):
        block.extended({"new": [1.0, float("nan")]})


word = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"))
quotable = word.filter(lambda text: not ("'" in text and '"' in text))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(quotable, min_size=n, max_size=n))))
def test_any_table_comes_back(tmp_path, rows):
    width = len(rows[0]) if rows else 1
    columns = {f"c{i}": [row[i] for row in rows] for i in range(width)}
    path = tmp_path / "any.star"
    write_star(path, StarFile(path, (make_block("x", {"n": range(len(rows))} | columns),)))
    block = read_star(path).block("x")
    assert len(block) == len(rows)
    for label, values in columns.items():
        assert block.column(label) == values
    write_star(tmp_path / "again.star", read_star(path))
    assert (tmp_path / "again.star").read_bytes() == path.read_bytes()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
def test_any_number_comes_back(tmp_path, values):
    path = tmp_path / "any.star"
    write_star(path, StarFile(path, (make_block("x", {"v": values}),)))
    assert read_star(path).block("x").floats("v").tolist() == values


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=60))
def test_junk_is_read_or_refused_in_one_line(tmp_path, junk):
    path = tmp_path / "junk.star"
    path.write_bytes(b"data_x\nloop_\n_a\n" + junk)
    message = ""
    try:
        read_star(path)
    except InputFileError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "data_x\nloop_\n_a\n" + " '" * n,
        lambda n: "data_x\nloop_\n_a\n" + "\n" * n + "data_y\n" * n,
        lambda n: "".join(f"data_{i}\n_a 1\n" for i in range(n)),
        lambda n: "data_x\nloop_\n" + "".join(f"_a{i}\n" for i in range(n)),
        lambda n: "data_x\n" + "".join(f"_a{i} 1\n" for i in range(n)),
    ],
)
def test_reading_time_grows_as_the_file_does(tmp_path, make):
    """A file may be made to be slow: time as the square of its size would be a minute here."""
    path = tmp_path / "slow.star"
    path.write_text(make(30_000))
    start = time.process_time()
    with contextlib.suppress(InputFileError):
        read_star(path)
    assert time.process_time() - start < 5
