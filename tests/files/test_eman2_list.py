"""EMAN2's lists: both versions, nothing lost, nothing run, nothing endless."""

import json
import string
from contextlib import suppress

import numpy as np
import pytest
from files_of_eman2 import write_lst
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cryomix.errors import CryomixError, InputFileError
from cryomix.files.eman2_list import list_images, read_list, write_list

KEYS = st.text(string.ascii_letters + "._", min_size=1, max_size=8)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**12), 10**12)
VALUES = st.recursive(
    NUMBERS | st.text(max_size=8) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
NAMES = st.text(string.ascii_letters + string.digits + "_ /-.é", min_size=1, max_size=12).map(
    lambda text: f"{text.strip()}.hdf"
)
ROWS = st.lists(
    st.tuples(st.integers(0, 10**9 - 1), NAMES, st.dictionaries(KEYS, VALUES, max_size=3)),
    min_size=1,
    max_size=6,
)
ROOMY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@ROOMY
@given(rows=ROWS, room=st.integers(0, 20))
def test_any_list_is_read_as_it_was_written_and_comes_out_as_it_was(tmp_path, rows, room):
    path, out = tmp_path / "a.lst", tmp_path / "out.lst"
    write_lst(path, rows, room=room)
    listing = read_list(path)
    assert listing.number.tolist() == [number for number, _, _ in rows]
    assert [listing.stacks[stack] for stack in listing.stack] == [name for _, name, _ in rows]
    assert [listing.record(row) for row in range(len(rows))] == [values for *_, values in rows]
    write_list(out, listing)
    assert out.read_bytes() == path.read_bytes()


@ROOMY
@given(
    content=st.binary(max_size=200), magic=st.sampled_from([b"#LSX\n# a\n# 9\n", b"#LST\n", b""])
)
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path, content, magic):
    path = tmp_path / "a.lst"
    path.write_bytes(magic + content)
    errors = []
    try:
        listing = read_list(path)
        for row in range(len(listing)):
            listing.record(row)
    except CryomixError as error:
        errors.append(str(error))
    assert all("\n" not in line and str(path) in line for line in errors)


@ROOMY
@given(text=st.text("{}[]\",:'T1e-.truefalsn (", max_size=60))
def test_any_values_are_read_or_refused(tmp_path, text):
    path = tmp_path / "a.lst"
    write_lst(path, [(0, "a.hdf", "{" + text)])
    with suppress(CryomixError):
        assert isinstance(read_list(path).record(0), dict)


def test_the_old_version(tmp_path):
    path, out = tmp_path / "a.lst", tmp_path / "out.lst"
    path.write_text("#LST\n#made in 2007\n3  a.hdf\n 4\tb b.hdf\tgood one\n\n")
    listing = read_list(path)
    assert listing.number.tolist() == [3, 4]
    assert listing.stacks == ("a.hdf", "b b.hdf")
    assert listing.values == ("", "good one")
    assert listing.record(1) == {}
    write_list(out, listing)
    magic, comment, length, *rows = out.read_text().splitlines(keepends=True)
    assert magic == "#LSX\n"
    assert comment.startswith("# ")
    assert rows == ["3\ta.hdf           \n", "4\tb b.hdf\tgood one\n"]
    assert {len(row) for row in rows} == {int(length[1:])}


def test_a_comment_is_kept_where_keys_are_added(tmp_path):
    path = tmp_path / "a.lst"
    write_lst(path, [(0, "a.hdf", "good one"), (1, "a.hdf")])
    listing = read_list(path).extended({"b": [1, 2.5]})
    assert [json.loads(text) for text in listing.values] == [
        {"lst_comment": "good one", "b": 1},
        {"b": 2.5},
    ]


@pytest.mark.parametrize(
    "text",
    ["Transform({'type':'eman','az':1.0})", "-0.5;Transform({})", "{'type':'eman','az':1.0}"],
)
def test_values_that_old_versions_would_run_are_refused(tmp_path, text):
    path = tmp_path / "a.lst"
    write_lst(path, [(0, "a.hdf", text)])
    with pytest.raises(InputFileError, match=r"row 1: values of an old version .* e2proclst.py"):
        read_list(path).record(0)
    write_lst(path, [(0, "a.hdf", "1.0;2.0")], comment="#keys: score;defocus")
    with pytest.raises(InputFileError, match="values of an old version"):
        read_list(path).record(0)


def test_bytes_that_are_no_text_are_kept(tmp_path):
    path, out = tmp_path / "a.lst", tmp_path / "out.lst"
    path.write_bytes(b"#LSX\n# \xff\n# 20\n" + b"0\tb\xfe.hdf".ljust(19) + b"\n")
    write_list(out, read_list(path))
    assert out.read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must begin with #LSX or #LST, got ''"),
        ("# version 30001\n", "must begin with #LSX or #LST, got '# version 30001'"),
        ("#LSX\n", "lines 2 and 3"),
        ("#LSX\n# c\n# many\n", "length of a line, as in '# 80', got '# many'"),
        ("#LSX\n# c\n# 9\nx\ta.hdf\n", "line 4 must hold a number from 0 and a file"),
        ("#LSX\n# c\n# 9\n-1\ta.hdf\n", "line 4 must hold a number from 0 and a file"),
        ("#LSX\n# c\n# 9\n²\ta.hdf\n", "line 4 must hold a number from 0 and a file"),
        ("#LSX\n# c\n# 9\n10000000000\ta.hdf\n", "line 4 must hold a number from 0 and a file"),
        ("#LSX\n# c\n# 9\n1 a.hdf\n", "line 4 must hold a number from 0 and a file"),
        ("#LSX\n# c\n# 9\n0\ta.hdf\n\n1\ta.hdf\n", "line 5 is empty, but rows follow"),
        ("#LSX\n" + "#" * 2**21, "line 2 must have at most 1048576 bytes"),
    ],
)
def test_malformed_lists_are_refused(tmp_path, content, message):
    path = tmp_path / "a.lst"
    path.write_text(content)
    with pytest.raises(InputFileError, match=message):
        read_list(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":' * 50000, "at most 200 brackets"),
        ('{"a":[', "malformed JSON"),
        ('{"a":' + "9" * 5000 + "}", "malformed JSON"),
    ],
)
def test_malformed_values_are_refused(tmp_path, text, message):
    path = tmp_path / "a.lst"
    write_lst(path, [(0, "a.hdf"), (1, "a.hdf", text)])
    with pytest.raises(InputFileError, match=rf"row 2: .*{message}"):
        read_list(path).record(1)


def test_a_list_of_a_whole_stack(tmp_path):
    out = tmp_path / "out.lst"
    write_list(out, list_images(tmp_path / "a.hdf", "a.hdf", 12).selected(np.array([11, 0])))
    assert read_list(out).number.tolist() == [11, 0]
