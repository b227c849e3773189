"""Maps and stacks: every mode and byte order, and every way to be malformed."""

import bz2
import gzip
import struct
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from cryomix.errors import BoxMismatchError, DataWarning, InputFileError, OutputError
from cryomix.files.mrc import (
    MrcStack,
    find_bad_images,
    open_stack,
    read_volume,
    read_voxel_size,
    write_stack,
    write_volume,
)
from cryomix.files.open_files import OpenFiles
from cryomix.imaging.particles import ImageStack
from cryomix.imaging.volume import Volume

TYPES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}


def mrc_bytes(
    data,
    mode=2,
    order="<",
    *,
    voxel=(2.0, 2.0, 2.0),
    axes=(1, 2, 3),
    starts=(0, 0, 0),
    origin=(0.0, 0.0, 0.0),
    extended=b"",
    sampling=None,
):
    """Written from the format's definition, without stamp or identifier."""
    sections, rows, columns = data.shape
    lengths = dict(zip(axes, (columns, rows, sections), strict=True))
    sampling = sampling or tuple(lengths.get(axis, 1) for axis in (1, 2, 3))
    header = bytearray(1024)
    struct.pack_into(f"{order}10i", header, 0, columns, rows, sections, mode, *starts, *sampling)
    cell = [edge * size for edge, size in zip(sampling, voxel, strict=True)]
    struct.pack_into(f"{order}6f", header, 40, *cell, 90, 90, 90)
    struct.pack_into(f"{order}3i", header, 64, *axes)
    struct.pack_into(f"{order}i", header, 92, len(extended))
    struct.pack_into(f"{order}3f", header, 196, *origin)
    return bytes(header) + extended + data.astype(order + TYPES.get(mode, "f4")).tobytes()


@pytest.fixture
def cube():
    return np.random.default_rng(0).integers(0, 100, (6, 6, 6)).astype(np.float32)


@pytest.mark.parametrize("mode", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_maps_of_every_mode_and_byte_order(tmp_path, cube, mode, order):
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(cube, mode, order, extended=b"x" * 77))
    volume = read_volume(path)
    assert volume.density.dtype == torch.float32
    np.testing.assert_array_equal(volume.density.numpy(), cube)
    assert volume.voxel_size == 2.0


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (3, 2, 1), (1, 3, 2)])
def test_axes_in_any_order(tmp_path, cube, axes):
    """The voxel at (x, y, z) = (1, 2, 4) stays there, and so does the start of the map."""
    xyz = cube.transpose(2, 1, 0)
    stored = xyz.transpose([axis - 1 for axis in reversed(axes)])
    starts = tuple({1: -7, 2: 5, 3: 3}[axis] for axis in axes)
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(stored, axes=axes, starts=starts))
    volume = read_volume(path)
    assert volume.density[4, 2, 1] == cube[4, 2, 1] == xyz[1, 2, 4]
    np.testing.assert_array_equal(volume.density.numpy(), cube)
    assert volume.origin == (-14.0, 10.0, 6.0)


def test_a_map_that_is_not_cubic_keeps_every_voxel_in_its_place(tmp_path, cube):
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(cube[:5, :4], origin=(1.0, 2.0, 3.0)))
    with pytest.warns(DataWarning, match="6 x 4 x 5 voxels is not cubic: zeros are added up to 6"):
        volume = read_volume(path)
    assert volume.origin == (1.0, 2.0, 3.0)
    density = volume.density.numpy()
    np.testing.assert_array_equal(density[:5, :4], cube[:5, :4])
    assert density.shape == (6, 6, 6)
    assert not density[5].any()
    assert not density[:, 4:].any()


def test_an_origin_goes_before_starts(tmp_path, cube):
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(cube, starts=(1, 2, 3), origin=(-8.0, 0.0, 2.5)))
    assert read_volume(path).origin == (-8.0, 0.0, 2.5)


def test_axes_that_are_not_set_are_x_y_z(tmp_path, cube):
    path = tmp_path / "map.mrc"
    content = bytearray(mrc_bytes(cube))
    content[64:76] = bytes(12)
    path.write_bytes(content)
    np.testing.assert_array_equal(read_volume(path).density.numpy(), cube)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_compressed_maps(tmp_path, cube, compress):
    path = tmp_path / "map.anything"
    path.write_bytes(compress(mrc_bytes(cube)))
    np.testing.assert_array_equal(read_volume(path).density.numpy(), cube)
    path.write_bytes(compress(mrc_bytes(cube))[:-40])
    with pytest.raises(InputFileError, match=r"map\.anything: cannot be decompressed: "):
        read_volume(path)


def test_the_voxel_size_may_be_given(tmp_path, cube):
    path = tmp_path / "map.mrc"
    path.write_bytes(mrc_bytes(cube, voxel=(0, 0, 0), starts=(2, 0, 0)))
    assert read_voxel_size(path) == 0
    with pytest.raises(InputFileError, match=r"map\.mrc: the header gives no voxel size: give it"):
        read_volume(path)
    volume = read_volume(path, voxel_size=3.5)
    assert (volume.voxel_size, volume.origin) == (3.5, (7.0, 0.0, 0.0))
    path.write_bytes(mrc_bytes(cube, voxel=(1, 1, 1)))
    assert read_volume(path).voxel_size == 1.0
    assert read_volume(path, voxel_size=3.5).voxel_size == 3.5


def not_finite(cube):
    cube[0, 1, 2], cube[5, 5, 5] = np.nan, np.inf
    return mrc_bytes(cube)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda cube: b"short", "an MRC file begins with 1024 bytes of header, this file has 5"),
        (lambda cube: b"text " * 400, "not an MRC file: its header gives a size of "),
        (lambda cube: mrc_bytes(cube, 4), "the MRC mode must be 0, 1, 2, 6 or 12, got 4"),
        (lambda cube: mrc_bytes(cube, 101), "the MRC mode must be 0, 1, 2, 6 or 12, got 101"),
        (
            lambda cube: mrc_bytes(cube)[:-4],
            "truncated: its header promises 6 x 6 x 6 voxels in 1888 bytes, there are 1884",
        ),
        (
            lambda cube: mrc_bytes(cube, extended=bytes(80))[:-4],
            "truncated: its header promises 6 x 6 x 6 voxels in 1968 bytes, there are 1964",
        ),
        (
            lambda cube: mrc_bytes(cube[:1, :2], axes=(2, 3, 1)),
            "a map must be about cubic, got 1 x 6 x 2 voxels",
        ),
        (not_finite, "a map must be finite, got NaN or infinity in 2 voxels"),
        (
            lambda cube: mrc_bytes(cube, voxel=(2.0, 2.0, 2.1)),
            "voxels must be cubes, got 2 x 2 x 2.1 Å",
        ),
        (
            lambda cube: mrc_bytes(cube, axes=(1, 2, 2)),
            "the MRC axes must be 1, 2 and 3 in some order, got (1, 2, 2)",
        ),
    ],
)
def test_malformed_maps_are_refused(tmp_path, cube, make, message):
    path = tmp_path / "map.mrc"
    path.write_bytes(make(cube))
    with pytest.raises(InputFileError) as caught:
        read_volume(path)
    assert type(caught.value) is InputFileError
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_missing_map_is_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"none\.mrc: cannot be read: No such file"):
        read_volume(tmp_path / "none.mrc")


def test_written_maps_are_valid_and_come_back(tmp_path, cube, capsys):
    path = tmp_path / "new" / "map.mrc"
    volume = Volume(torch.from_numpy(cube), 1.37, (-3.0, 4.5, 0.0))
    write_volume(path, volume)
    again = read_volume(path)
    assert torch.equal(again.density, volume.density)
    assert again.voxel_size == pytest.approx(1.37)
    assert again.origin == volume.origin
    assert mrcfile.validate(path), capsys.readouterr().out
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(file.data, cube)
        assert (file.header.mode, file.header.ispg) == (2, 1)
        assert file.voxel_size.x == pytest.approx(1.37)
        assert file.header.rms == pytest.approx(cube.std())
    with pytest.raises(OutputError, match=r"map\.mrc/x\.mrc: cannot be written: "):
        write_volume(path / "x.mrc", volume)


@pytest.mark.parametrize("mode", TYPES)
@pytest.mark.parametrize("order", ["<", ">"])
def test_stacks_are_read_in_the_order_asked_for(tmp_path, mode, order):
    images = np.random.default_rng(1).integers(0, 100, (2, 5, 4, 4)).astype(np.float32)
    files = [tmp_path / "a.mrcs", tmp_path / "b.mrcs"]
    for path, part in zip(files, images, strict=True):
        path.write_bytes(mrc_bytes(part, mode, order, extended=bytes(1337)))
    file, section = np.array([1, 0, 1, 0, 0]), np.array([4, 2, 0, 2, 1])
    stack = MrcStack(files, file, section)
    assert isinstance(stack, ImageStack)
    assert (len(stack), stack.box_size) == (5, 4)
    wanted = torch.tensor([3, 0, 4, 0, 2])
    read = stack.read(wanted)
    assert read.dtype == torch.float32
    np.testing.assert_array_equal(read.numpy(), images[file, section][wanted])
    assert stack.read(torch.tensor([], dtype=torch.int64)).shape == (0, 4, 4)
    with pytest.raises(IndexError, match="5 images, got indices -1 to 2"):
        stack.read(torch.tensor([2, -1]))


def test_more_files_than_are_kept_open(tmp_path):
    files = [tmp_path / f"{number}.mrcs" for number in range(150)]
    for number, path in enumerate(files):
        path.write_bytes(mrc_bytes(np.full((1, 2, 2), number, np.float32)))
    stack = MrcStack(files, np.arange(150), np.zeros(150, np.int64))
    for _ in range(2):
        assert stack.read(torch.arange(149, -1, -1))[:, 0, 0].tolist() == list(range(149, -1, -1))
    assert len(stack._open_files) <= 64


def test_stacks_beyond_four_gibibytes(tmp_path):
    """Two images far apart in a file of 5 GiB, nearly all of it holes."""
    path = tmp_path / "large.mrcs"
    box_size, images, last = 128, 81_920, 81_003
    header = mrc_bytes(np.zeros((1, 1, 1)))[:1024]
    size = 1024 + images * box_size**2 * 4
    assert size > 5 * 2**30
    with path.open("wb") as file:
        file.write(struct.pack("<3i", box_size, box_size, images) + header[12:])
        for section, value in ((5, 3.0), (last, 7.0)):
            file.seek(1024 + section * box_size**2 * 4 + 4 * (3 * box_size + 5))
            file.write(struct.pack("<f", value))
        file.truncate(size)
    try:
        if path.stat().st_blocks * 512 > 2**24:
            pytest.skip(reason=f"no sparse files in {tmp_path}")
        image = open_stack(path).read(torch.tensor([last, 6, 5, last - 1]))
    finally:
        path.unlink()
    assert image[:, 3, 5].tolist() == [7.0, 0.0, 3.0, 0.0]
    assert image.abs().sum() == 10.0


def test_reading_a_stack_takes_no_memory_but_that_of_the_images(tmp_path):
    """Pages of a mapped file would count as memory of this process."""
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip(reason="needs /proc to measure memory")

    def resident_bytes():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
        return 1024 * int(line.split()[1])

    path = tmp_path / "large.mrcs"
    box_size, images = 256, 600
    with path.open("wb") as file:
        file.write(struct.pack("<3i", box_size, box_size, images))
        file.write(mrc_bytes(np.zeros((1, 1, 1)))[12:1024])
        file.truncate(1024 + images * box_size**2 * 4)
    stack = open_stack(path)
    stack.read(torch.arange(10))
    before = resident_bytes()
    for part in torch.randperm(images).split(10):
        stack.read(part)
    assert resident_bytes() - before < 0.25 * path.stat().st_size
    path.unlink()


@pytest.mark.parametrize(("value", "mode"), [(np.nan, 2), (np.inf, 2), (-np.inf, 12), (np.nan, 12)])
def test_an_image_that_is_not_finite_is_named(tmp_path, value, mode):
    images = np.ones((9, 4, 4))
    images[6, 1, 2] = value
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(images, mode))
    stack = MrcStack([path], np.zeros(5, np.int64), np.array([8, 6, 0, 6, 2]))
    assert stack.read(torch.tensor([0, 2, 4])).sum() == 48
    with pytest.raises(InputFileError) as caught:
        stack.read(torch.tensor([0, 2, 3]))
    assert str(caught.value) == f"{path}: image 7: pixels must be finite, got NaN or infinity"
    assert not stack.read_as_stored(torch.tensor([1])).isfinite().all()


def test_the_largest_numbers_are_finite(tmp_path):
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(np.full((1, 4, 4), 3e38)))
    assert open_stack(path).read(torch.tensor([0])).min() > 2e38


def test_neighbors_are_read_at_once(tmp_path, monkeypatch):
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(np.arange(40 * 16).reshape(40, 4, 4)))
    asked = []
    whole = OpenFiles.read_into

    def watch(self, file, offset, buffers):
        asked.append((offset, len(buffers)))
        whole(self, file, offset, buffers)

    monkeypatch.setattr(OpenFiles, "read_into", watch)
    image = open_stack(path).read(torch.tensor([7, 5, 30, 6, 6, 31]))
    assert image[:, 0, 0].tolist() == [16.0 * number for number in (7, 5, 30, 6, 6, 31)]
    assert asked == [(1024 + 5 * 64, 2), (1024 + 6 * 64, 2), (1024 + 30 * 64, 2)]


def test_stacks_on_disk_are_left_alone(tmp_path):
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(np.ones((2, 3, 3))))
    path.chmod(0o444)
    before = path.read_bytes()
    stack = open_stack(path)
    stack.read(torch.tensor([0]))[:] = 5
    assert path.read_bytes() == before
    assert stack.read(torch.tensor([0])).max() == 1


def test_truncated_stacks_are_refused_with_both_numbers(tmp_path):
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(np.ones((10, 4, 4)))[: 1024 + 7 * 64 + 5])
    with pytest.raises(InputFileError) as caught:
        open_stack(path)
    assert str(caught.value) == (
        f"{path}: truncated: its header promises 10 images in 1664 bytes, "
        "there are 1477 bytes, enough for 7 images"
    )


def test_images_beyond_the_stack_are_refused(tmp_path):
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(np.ones((3, 4, 4))))
    with pytest.raises(InputFileError) as caught:
        MrcStack([path], np.zeros(2, np.int64), np.array([2, 3]), tmp_path / "x.star")
    assert str(caught.value) == (
        f"{tmp_path / 'x.star'}: row 2 asks for image 4 of {path}, which holds 3"
    )


def test_stacks_of_different_boxes_are_refused(tmp_path):
    small, large, oblong = tmp_path / "a.mrcs", tmp_path / "b.mrcs", tmp_path / "c.mrcs"
    small.write_bytes(mrc_bytes(np.ones((1, 4, 4))))
    large.write_bytes(mrc_bytes(np.ones((1, 6, 6))))
    oblong.write_bytes(mrc_bytes(np.ones((1, 4, 6))))
    with pytest.raises(BoxMismatchError) as caught:
        MrcStack([small, large], np.array([0, 1]), np.zeros(2, np.int64))
    assert str(caught.value) == (
        f"{large}: all images must have one box size, got 6 pixels here and 4 in {small}"
    )
    with pytest.raises(InputFileError, match=r"c\.mrcs: images must be square, got 6 x 4 pixels"):
        open_stack(oblong)
    with pytest.raises(InputFileError, match=r"none\.mrcs: cannot be read: No such file"):
        open_stack(tmp_path / "none.mrcs")


def test_bad_images_are_found(tmp_path):
    images = np.random.default_rng(2).normal(size=(600, 4, 4)).astype(np.float32)
    images[3, 1, 1], images[299, 0, 0], images[400], images[599] = np.nan, np.inf, 2.5, 0
    path = tmp_path / "a.mrcs"
    path.write_bytes(mrc_bytes(images))
    told = []
    assert find_bad_images(open_stack(path), lambda *done: told.append(done)) == [3, 299, 400, 599]
    assert told[-1] == (600, 600)
    assert told == sorted(set(told))
    assert len(told) > 2


def test_written_stacks_come_back(tmp_path, capsys):
    images = torch.randn(5, 4, 4, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "new.mrcs"
    write_stack(path, images.split(2), 1.5)
    assert torch.equal(open_stack(path).read(torch.arange(5)), images)
    assert mrcfile.validate(path), capsys.readouterr().out
    with mrcfile.open(path) as file:
        assert file.is_image_stack()
        assert file.voxel_size.x == 1.5
