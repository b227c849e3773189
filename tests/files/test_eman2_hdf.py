"""EMAN2's HDF stacks: plain and compressed pixels, and what a hostile file may not do."""

import subprocess
import sys
from contextlib import suppress

import h5py
import numpy as np
import pytest
import torch
from files_of_eman2 import CTF, Eman2Set, transform_of, write_hdf

from cryomix.errors import BoxMismatchError, InputFileError
from cryomix.files.eman2_attributes import CLASS, TRANSFORM
from cryomix.files.eman2_hdf import HdfStack, open_hdf
from cryomix.files.mrc import find_bad_images
from cryomix.imaging.particles import ImageStack

IMAGES = np.random.default_rng(0).normal(size=(5, 8, 8)).astype(np.float32)
HEADERS = [{"apix_x": 2.0, "ctf": CTF} for _ in IMAGES]


@pytest.fixture
def path(tmp_path):
    write_hdf(tmp_path / "a.hdf", IMAGES, HEADERS)
    return tmp_path / "a.hdf"


def changed(path):
    content = path.read_bytes()
    path.unlink()  # it may be open still
    path.write_bytes(content)
    return h5py.File(path, "r+")


def refused(path, message):
    with pytest.raises(InputFileError, match=message) as caught:
        open_hdf(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_images_are_read_in_any_order(path):
    stack = open_hdf(path)
    assert isinstance(stack, ImageStack)
    assert (len(stack), stack.box_size) == (5, 8)
    index = torch.tensor([4, 0, 4, 2])
    np.testing.assert_array_equal(stack.read(index).numpy(), IMAGES[index])
    assert stack.read(torch.tensor([], dtype=torch.int64)).shape == (0, 8, 8)
    with pytest.raises(IndexError, match="5 images"):
        stack.read(torch.tensor([5]))


@pytest.mark.parametrize("bits", [5, 8, 12, 16])
def test_compressed_pixels(tmp_path, bits):
    path = tmp_path / "a.hdf"
    write_hdf(path, IMAGES, HEADERS, bits=bits)
    found = open_hdf(path).read(torch.arange(5)).numpy()
    low, high = IMAGES.min(axis=(1, 2)), IMAGES.max(axis=(1, 2))
    # Half a step is the rounding; the ends come back as they were.
    most = ((high - low) / (2**bits - 1))[:, None, None] * 0.5 + 1e-6
    assert (np.abs(found - IMAGES) <= most).all()
    np.testing.assert_allclose(found.min(axis=(1, 2)), low, rtol=1e-6)
    np.testing.assert_allclose(found.max(axis=(1, 2)), high, rtol=1e-6)


@pytest.mark.parametrize("kind", ["u1", "<i2", "<f2", ">f4", "<f8"])
def test_other_numbers_are_taken_as_they_are(path, kind):
    with changed(path) as file:
        for number in range(5):
            del file[f"MDF/images/{number}/image"]
            file[f"MDF/images/{number}/image"] = (np.ones((1, 8, 8)) * number).astype(kind)
    assert open_hdf(path).read(torch.tensor([3]))[0, 0, 0].item() == 3


def test_headers(tmp_path):
    path = tmp_path / "a.hdf"
    matrix = transform_of(1, 2, 3, 4, 5)
    write_hdf(path, IMAGES[:2], [HEADERS[0] | {"xform.projection": matrix, "class": 1}, {}])
    attributes = open_hdf(path).attributes
    np.testing.assert_allclose(attributes.column(TRANSFORM)[0], matrix.flatten(), rtol=1e-6)
    assert attributes.missing(TRANSFORM).tolist() == [1]
    assert attributes.single(CLASS)[0] == 1


def test_text_of_any_length_is_read(path):
    with changed(path) as file:
        group = file["MDF/images/0"]
        group.attrs["EMAN.ctf"] = CTF  # of variable length
        group.attrs["EMAN.xform.projection"] = "[1,0,0,4,0,1,0,5,0,0,1,6]"
    attributes = open_hdf(path).attributes
    assert attributes.ctf_pixel_size[0] == 2
    assert attributes.column(TRANSFORM)[0, 3::4].tolist() == [4, 5, 6]


def test_several_files_in_any_order(tmp_path):
    for name in "ab":
        write_hdf(tmp_path / f"{name}.hdf", IMAGES + ord(name), HEADERS)
    files = [tmp_path / "a.hdf", tmp_path / "b.hdf"]
    file, section = np.array([1, 0, 1, 1]), np.array([3, 2, 0, 3])
    stack = HdfStack(files, file, section)
    expected = [IMAGES[number] + ord("ab"[one]) for one, number in zip(file, section, strict=True)]
    np.testing.assert_array_equal(stack.read(torch.arange(4)).numpy(), expected)
    assert stack.first_of_each().tolist() == [0, 1, 2, 0]
    with pytest.raises(InputFileError, match=r"b.hdf: image 5: there is no '5'"):
        HdfStack(files, np.array([0, 1]), np.array([0, 5]))


def test_pixels_that_are_not_finite_are_named(path):
    with changed(path) as file:
        file["MDF/images/3/image"][2, 2] = np.nan
    stack = open_hdf(path)
    with pytest.raises(InputFileError, match="image 3: pixels must be finite"):
        stack.read(torch.tensor([1, 3]))
    assert find_bad_images(stack) == [3]


def test_links_to_elsewhere_are_refused(path, tmp_path):
    other = tmp_path / "secret.hdf"
    write_hdf(other, IMAGES, HEADERS)
    links = {
        "MDF": h5py.ExternalLink(other, "/MDF"),
        "MDF/images": h5py.ExternalLink(other, "/MDF/images"),
        "MDF/images/2": h5py.SoftLink("/MDF/images/1"),
        "MDF/images/2/image": h5py.ExternalLink(other, "/MDF/images/0/image"),
    }
    for number, (place, link) in enumerate(links.items()):
        copy = tmp_path / f"copy{number}.hdf"
        copy.write_bytes(path.read_bytes())
        with changed(copy) as file:
            del file[place]
            file[place] = link
        refused(copy, r"must not be a link to elsewhere")


def test_pixels_that_lie_in_another_file_are_refused(path, tmp_path):
    raw = tmp_path / "secret.bin"
    raw.write_bytes(bytes(256))
    with changed(path) as file:
        group = file["MDF/images/1"]
        del group["image"]
        group.create_dataset("image", (8, 8), "<f4", external=[(str(raw), 0, 256)])
    refused(path, "image 1: pixels must lie in the file itself")
    with changed(path) as file:
        group = file["MDF/images/1"]
        del group["image"]
        layout = h5py.VirtualLayout((8, 8), "<f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.hdf"), "image", (8, 8))
        group.create_virtual_dataset("image", layout)
    refused(path, "image 1: pixels must lie in the file itself")


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((10**5, 10**5), {}, "40000000000 bytes of pixels are promised, fewer are stored"),
        ((10**5, 10**5), {"chunks": (8, 8), "compression": 1}, "bytes of pixels are promised"),
        ((8, 6), {}, "images must be square, got 8 x 6 pixels"),
        ((2, 8, 8), {}, "images must be square, got 2 x 8 x 8 pixels"),
        ((), {}, "images must be square"),
        ((0, 0), {}, "images must be square, got 0 x 0 pixels"),
        ((8, 8), {"chunks": (8, 8), "compression": "lzf"}, "compressed by deflate, got filter"),
        (
            (8, 8),
            {"chunks": (10**4, 10**4), "maxshape": (None, None)},
            "chunks must not be larger than the image",
        ),
    ],
)
def test_pixels_that_cannot_be_are_refused_before_memory_is_taken(path, shape, options, message):
    with changed(path) as file:
        group = file["MDF/images/1"]
        del group["image"]
        pixels = group.create_dataset("image", shape, "<f4", **options)
        if shape == (8, 8) and "maxshape" not in options:
            pixels[:] = 1
        if "maxshape" in options:
            pixels.id.write_direct_chunk((0, 0), bytes(10**5))
    refused(path, f"image 1: .*{message}")


def test_other_things_in_the_place_of_an_image_are_refused(path):
    with changed(path) as file:
        del file["MDF/images/1"]
        file["MDF/images/1"] = np.zeros((8, 8))
    refused(path, "image 1: must be a group")
    with changed(path) as file:
        del file["MDF/images/1"]
        file.create_group("MDF/images/1/image")
    refused(path, "image 1: 'image' must be a data set")
    with changed(path) as file:
        del file["MDF/images/1/image"]
        file["MDF/images/1/image"] = np.full((8, 8), b"text")
    refused(path, "image 1: pixels must be numbers")


@pytest.mark.parametrize("last", [-1, 5, 2**31 - 1, [1, 2], "text"])
def test_a_number_of_images_that_cannot_be_is_refused(path, last):
    with changed(path) as file:
        file["MDF/images"].attrs["imageid_max"] = last
    refused(path, "imageid_max must count its images|cannot be read as HDF5")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("stored_renderbits", np.int32(8), "stored_rendermin and stored_rendermax must be finite"),
        ("stored_renderbits", np.int32(40), "stored_renderbits must be 0 to 16, got 40"),
        ("stored_rendermin", np.float32(1), "stored_renderbits must be 0 to 16, got None"),
        ("apix_x", "wide", "apix_x must be a finite number, got 'wide'"),
        (
            "xform.projection",
            np.zeros(11, np.float32),
            "xform.projection must be a Transform of 12 numbers",
        ),
    ],
)
def test_headers_that_cannot_be_are_refused(path, key, value, message):
    with changed(path) as file:
        file["MDF/images/1"].attrs[f"EMAN.{key}"] = value
    refused(path, f"image 1: {message}")


def test_headers_that_are_too_long_are_refused(tmp_path):
    path = tmp_path / "a.hdf"
    with h5py.File(path, "w", libver="latest") as file:
        group = file.create_group("MDF/images")
        group.attrs["imageid_max"] = 0
        group["0/image"] = IMAGES[0]
        group["0"].attrs["EMAN.ctf"] = np.bytes_("E" + "1 " * 2**20)
    refused(path, "image 0: ctf must have at most 1048576 bytes")


def test_files_that_are_none_of_eman2_are_refused(path, tmp_path):
    other = tmp_path / "other.hdf"
    other.write_bytes(b"text")
    refused(other, "cannot be read as HDF5")
    whole = path.read_bytes()
    other.write_bytes(whole[: len(whole) // 2])
    refused(other, "cannot be read as HDF5")
    other.unlink()
    with h5py.File(other, "w") as file:
        file["data"] = IMAGES
    refused(other, "there is no 'MDF'")


def test_boxes_that_differ_are_refused_by_name(path):
    with changed(path) as file:
        del file["MDF/images/4/image"]
        file["MDF/images/4/image"] = np.zeros((6, 6), "<f4")
    with pytest.raises(BoxMismatchError, match="8 px, got 6 px"):
        open_hdf(path)


def test_damage_anywhere_is_an_error_of_the_users_or_other_pixels(path):
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    generator = np.random.default_rng(0)
    damaged = path.with_name("damaged.hdf")
    for _ in range(60):
        content = whole.copy()
        content[generator.integers(0, len(whole), 20)] = generator.integers(0, 256, 20)
        damaged.unlink(missing_ok=True)
        damaged.write_bytes(content.tobytes())
        with suppress(InputFileError):
            open_hdf(damaged).read(torch.arange(1))


def test_the_extra_is_named_where_it_lacks(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(path, r"HDF needs h5py: pip install 'cryomix\[eman2\]'")


def test_star_files_are_read_without_h5py():
    code = "import sys; sys.modules['h5py'] = None; import cryomix.files.particle_file"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_set_is_read_from_other_threads(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    project = Eman2Set(tmp_path)
    project.write()
    stack = open_hdf(project.stack)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: stack.read(torch.tensor([n % 3])), range(30)))
    for number, image in enumerate(found):
        np.testing.assert_array_equal(image[0].numpy(), project.images[number % 3])
