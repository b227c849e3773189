"""Headers of NumPy files: what NumPy writes is read, all else is refused and nothing is run."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as numpy_format

from cryomix.errors import InputFileError
from cryomix.files.array_header import parse_array_header

PLACE = Path("particles.cs")
FIELDS = "[('uid', '<u8'), ('ctf/df1_A', '<f4')]"

kinds = st.sampled_from(["<u8", "<f4", ">f8", "|b1", "<i2", "|S9", "<U3", "<c8", "|u1"])
shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
tables = st.dictionaries(
    st.text(min_size=1, max_size=12), st.tuples(kinds, shapes), min_size=1, max_size=8
)


def written(table):
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of format 3, for names that are not Latin
        numpy_format.write_array(file, table, allow_pickle=False)
    return file.getvalue()


def header(text, *, version=b"\x01\x00", length=None):
    packed = struct.pack("<H" if version[0] == 1 else "<I", length or len(text))
    return b"\x93NUMPY" + version + packed + text


def said(descr=FIELDS, order="False", shape="(3,)"):
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"
    return header(text.encode())


def refusal(content):
    with pytest.raises(InputFileError) as caught:
        parse_array_header(content, PLACE)
    assert str(caught.value).startswith(f"{PLACE}: ")
    return str(caught.value).removeprefix(f"{PLACE}: ")


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(0, 5))
def test_what_numpy_writes_is_read(fields, rows):
    dtype = np.dtype([(name, *kind) for name, kind in fields.items()])
    content = written(np.zeros(rows, dtype))
    found = parse_array_header(content, PLACE)
    assert (found.dtype, found.rows, found.file_bytes) == (dtype, rows, len(content))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([b"\x01\x00", b"\x02\x00", b"\x03\x00", b""]))
def test_noise_is_refused(noise, version):
    refusal(b"\x93NUMPY" + version + noise)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_header_is_read_as_numpy_reads_it_or_refused(data):
    table = np.zeros(3, [("uid", "<u8"), ("ctf/df1_A", "<f4"), ("pose", "<f4", (3,))])
    content = bytearray(written(table))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(6, 127))] = data.draw(st.integers(0, 255))
    try:
        found = parse_array_header(bytes(content), PLACE)
    except InputFileError:
        return
    file = io.BytesIO(bytes(content))
    assert numpy_format.read_magic(file) == (content[6], content[7])
    reader = numpy_format.read_array_header_1_0 if content[6] == 1 else None
    if reader is not None:
        shape, _, dtype = reader(file)
        assert ((found.rows,), found.dtype, found.data_offset) == (shape, dtype, file.tell())


@pytest.mark.parametrize(
    "descr",
    [
        "'|O'",
        "[('a', '|O')]",
        "[('a', 'O8')]",
        "[('a', '<M8[ns]')]",
        "[('a', '|V8')]",
        "[('a', [('b', '<f4')])]",
        "[(('title', 'a'), '<f4')]",
        "[('', '<f4')]",
        "[('a', '<f4', 3)]",
        "[('a', '<f4', (-1,))]",
        "[('a', '<f4', (True,))]",
        "[('a', '<f4', (0,))]",
        "[('a', '<f4', (2**9,))]",
        "[('a', '<f4'), ('a', '<f4')]",
        "[('a', '|S9999999')]",
        "[('a', '<f4', (1048576, 1048576))]",
        "[]",
        "'<f8'",
        "{'a': '<f4'}",
    ],
)
def test_only_tables_of_numbers_and_texts_are_read(descr):
    refusal(said(descr))


@pytest.mark.parametrize("shape", ["(3, 2)", "()", "(-1,)", "(True,)", "3", "('3',)", "(3.0,)"])
def test_a_table_has_one_dimension(shape):
    assert refusal(said(shape=shape)) == f"a table must have one dimension, got shape {shape}"


def test_a_lie_about_rows_asks_for_no_memory():
    found = parse_array_header(said(shape="(10**3,)".replace("10**3", str(10**18))), PLACE)
    assert found.file_bytes > 10**19


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a NumPy file: it begins with b''"),
        (b"PK\x03\x04 a zip", "not a NumPy file: it begins with b'PK\\x03\\x04 a'"),
        (b"\x93NUMPY\x09\x00", "a NumPy file must be of format 1 to 3, got b'\\t\\x00'"),
        (b"\x93NUMPY\x01\x00\x10", "truncated: 9 bytes are less than a header"),
        (header(b"{}", length=99), "truncated: a header of 99 bytes is promised, there are 2"),
        (
            header(b"{}", version=b"\x02\x00", length=2**31),
            "a header must be at most 1048576 bytes long, got 2147483648",
        ),
        (header(b"{'descr': 1}"), "a NumPy header must tell descr, fortran_order, shape"),
        (header(b"__import__('os').getcwd()"), "its NumPy header is not a literal"),
        (header(b"\xff\xfe"), "its NumPy header is not a literal"),
    ],
)
def test_what_is_wrong_is_said(content, message):
    assert refusal(content) == message


@pytest.mark.parametrize("text", ["-" * 900_000 + "1", "[" * 900_000, "1+" * 400_000 + "1"])
def test_deep_nesting_is_refused(text):
    assert (
        refusal(header(text.encode(), version=b"\x02\x00")) == "its NumPy header is not a literal"
    )


def test_numbers_longer_than_python_likes_are_refused():
    refusal(said(shape=f"({'9' * 10_000},)"))


def test_objects_that_numpy_pickled_are_refused():
    table = np.zeros(2, [("uid", "<u8"), ("path", object)])
    file = io.BytesIO()
    np.save(file, table, allow_pickle=True)
    assert refusal(file.getvalue()) == (
        "a field must be a name and a type of numbers or text, got ('path', '|O')"
    )
