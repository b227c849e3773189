"""DCD trajectories are read whole, or refused."""

import numpy as np
import pytest

from cryomix.errors import DataWarning, InputFileError
from cryomix.files.dcd import open_dcd

ATOMS, FRAMES = 7, 4


def record(content, order):
    length = np.array([len(content)], f"{order}i4").tobytes()
    return length + content + length


def dcd(position, *, order="<", cell=False, fourth=False, promised=None, fixed=0):
    """A file as CHARMM's manual describes it."""
    frames, atoms, _ = position.shape
    control = np.zeros(20, f"{order}i4")
    control[0] = frames if promised is None else promised
    control[[8, 10, 11, 19]] = fixed, cell, fourth, 24
    content = record(b"CORD" + control.tobytes(), order)
    content += record(np.array([1], f"{order}i4").tobytes() + b"* TITLE".ljust(80), order)
    content += record(np.array([atoms], f"{order}i4").tobytes(), order)
    for frame in position:
        if cell:
            content += record(np.zeros(6, f"{order}f8").tobytes(), order)
        axes = [*frame.T, np.zeros(atoms)] if fourth else frame.T
        for axis in axes:
            content += record(axis.astype(f"{order}f4").tobytes(), order)
    return content


@pytest.fixture
def position():
    return np.random.default_rng(0).normal(size=(FRAMES, ATOMS, 3)).astype(np.float32)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "way.dcd"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("cell", [False, True])
@pytest.mark.parametrize("fourth", [False, True])
def test_frames_come_back(write, position, order, cell, fourth):
    trajectory = open_dcd(write(dcd(position, order=order, cell=cell, fourth=fourth)))
    assert (trajectory.frames, trajectory.atoms) == (FRAMES, ATOMS)
    assert np.array_equal(trajectory.read(np.arange(FRAMES)), position)
    assert np.array_equal(trajectory.read(np.array([3, 0])), position[[3, 0]])


def test_a_header_that_promises_more_is_not_believed(write, position):
    path = write(dcd(position, promised=500))
    with pytest.warns(DataWarning, match="its 4 frames are used, although its header promises 500"):
        trajectory = open_dcd(path)
    assert trajectory.frames == FRAMES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-5], "truncated: frames of 7 atoms have 108 bytes each"),
        (lambda content: content + b"\0" * 8, "truncated: "),
        (lambda content: content[:50], "must begin with a record 'CORD' of 84"),
        (lambda content: content[:94], "must have a complete header"),
        (lambda content: b"VELD".join(content.split(b"CORD")), "must begin with a record 'CORD'"),
        (lambda content: b"", "must begin with a record 'CORD'"),
    ],
)
def test_what_is_no_whole_trajectory_is_refused(write, position, change, message):
    path = write(change(dcd(position)))
    with pytest.raises(InputFileError, match=message) as caught:
        open_dcd(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_no_frames_are_refused(write, position):
    with pytest.raises(InputFileError, match="which are 0 frames and 0 bytes"):
        open_dcd(write(dcd(position[:0])))


def test_fixed_atoms_are_refused(write, position):
    with pytest.raises(InputFileError, match="all atoms must move, got 3 fixed ones"):
        open_dcd(write(dcd(position, fixed=3)))


def test_a_record_of_another_length_is_refused(write, position):
    content = bytearray(dcd(position))
    content[-4:] = np.array([24], "<i4").tobytes()
    trajectory = open_dcd(write(bytes(content)))
    trajectory.read(np.arange(3))
    with pytest.raises(InputFileError, match="frame 4: a record of 7 atoms must have 28 bytes"):
        trajectory.read(np.array([3]))


def test_positions_must_be_finite(write, position):
    position[2, 1, 0] = np.nan
    with pytest.raises(InputFileError, match="frame 3: positions must be finite"):
        open_dcd(write(dcd(position))).read(np.arange(4))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="cannot be read: No such file"):
        open_dcd(tmp_path / "none.dcd")
