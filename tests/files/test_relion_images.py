"""Optics groups of several pixel or box sizes: what is read, and what is told."""

import numpy as np
import pytest
import torch
from files_of_others import write_stack_file

from cryomix.errors import DataWarning, ResolutionError
from cryomix.files.mrc import find_bad_images
from cryomix.files.mrc_header import make_header
from cryomix.files.relion import read_particles
from cryomix.geometry.fourier import to_fourier
from cryomix.imaging.particles import read_batch, working_grid

EVERY = torch.arange(3)


@pytest.fixture
def mixed(particle_file):
    """Images 1 and 2 of 8 px of 2 Å; image 3 of 5 px of 4 Å, with a header that does not say."""
    first = particle_file.optics[0]
    coarse = {"rlnOpticsGroup": 2, "rlnOpticsGroupName": "coarse", "rlnVoltage": 200.0}
    coarse |= {"rlnImagePixelSize": 4.0, "rlnImageSize": 5}
    particle_file.optics = [first | coarse, first]
    particle_file.set("rlnOpticsGroup", 1, 1, 2)
    particle_file.set("rlnImageName", "1@stack.mrcs", "3@stack.mrcs", "2@coarse/stack.mrcs")
    images = np.random.default_rng(1).normal(size=(2, 5, 5)).astype(np.float32)
    write_stack_file(particle_file.path.parent / "coarse/stack.mrcs", images, 0.0)
    return particle_file


def read_mixed(path):
    with pytest.warns(DataWarning, match="of several pixel or box sizes"):
        return read_particles(path)


def test_the_grid_of_most_images_is_taken(mixed):
    path = mixed.write()
    with pytest.warns(DataWarning) as caught:
        particles = read_particles(path)
    assert [str(warning.message) for warning in caught] == [
        f"{path}: images of several pixel or box sizes are put on the grid of the first: "
        "2 of 8 px of 2 Å (optics group opticsGroup1), 1 of 5 px of 4 Å (optics group coarse); "
        "detail finer than 8 Å, which not all hold, is set aside"
    ]
    assert (particles.pixel_size, particles.box_size, particles.limit) == (2.0, 8, 8.0)
    assert particles.images.read(EVERY).shape == (3, 8, 8)
    assert particles.ctf.voltage_kv.tolist() == [300.0, 300.0, 200.0]
    mixed.set("rlnOpticsGroup", 2, 1, 2)
    mixed.set("rlnImageName", "1@coarse/stack.mrcs", "3@stack.mrcs", "2@coarse/stack.mrcs")
    particles = read_mixed(mixed.write())
    assert (particles.pixel_size, particles.box_size, particles.limit) == (4.0, 5, None)
    assert particles.images.read(EVERY).shape == (3, 5, 5)


def test_origins_in_pixels_are_of_the_pixels_of_each(mixed):
    mixed.drop("rlnOriginXAngst", "rlnOriginYAngst")
    mixed.set("rlnOriginX", 1.0)
    mixed.set("rlnOriginY", -1.5)
    shift = read_mixed(mixed.write()).poses.shift
    assert shift.tolist() == [[-2.0, 3.0], [-2.0, 3.0], [-4.0, 6.0]]


def test_detail_that_some_lack_is_refused(mixed):
    particles = read_mixed(mixed.write())
    assert working_grid(particles, 8.0).box_size == 8
    with pytest.raises(
        ResolutionError, match=r"resolution 6 Å: finer than twice the largest pixel .*, 8 Å"
    ):
        working_grid(particles, 6.0)


def test_each_image_is_that_of_its_own_row(mixed):
    particles = read_mixed(mixed.write())
    images = particles.images.read(EVERY)
    shuffled = torch.tensor([2, 0, 1])
    assert torch.equal(particles.images.read(shuffled), images[shuffled])
    inside = particles.grid.radius < 0.124
    stored = torch.from_numpy(mixed.images[[0, 2]])
    got, expected = to_fourier(images[:2]), to_fourier(stored)
    torch.testing.assert_close(got[:, inside], expected[:, inside])
    assert len(read_batch(particles, shuffled, particles.grid)) == 3


def test_one_pixel_size_but_two_boxes(mixed):
    mixed.optics[0]["rlnImagePixelSize"] = 2.00001
    particles = read_mixed(mixed.write())
    assert (particles.pixel_size, particles.box_size, particles.limit) == (2.0, 8, None)


def test_headers_are_compared_with_the_pixels_of_each(mixed, rewrite_header):
    folder = mixed.path.parent
    rewrite_header(folder / "coarse/stack.mrcs", 4.0)
    read_mixed(mixed.write())
    rewrite_header(folder / "coarse/stack.mrcs", 2.0)
    path = mixed.write()
    with pytest.warns(DataWarning) as caught:
        read_particles(path)
    assert str(caught[0].message) == (
        f"{path}: its pixel size of 4 Å is used, although the header of "
        f"{folder / 'coarse/stack.mrcs'} says 2 Å"
    )


def test_bad_images_are_found_among_several_boxes(mixed):
    mixed.set("rlnOpticsGroup", 2, 1, 1)
    mixed.set("rlnImageName", "2@coarse/stack.mrcs", "3@stack.mrcs", "2@stack.mrcs")
    coarse = np.full((2, 5, 5), 0.1, np.float32)
    write_stack_file(mixed.path.parent / "coarse/stack.mrcs", coarse, 4.0)
    with (mixed.path.parent / "stack.mrcs").open("r+b") as file:
        file.seek(1024 + 64 * 4)  # the first pixel of image 2
        file.write(np.float32(np.nan).tobytes())
    told = []
    particles = read_mixed(mixed.write())
    assert find_bad_images(particles.images, lambda *done: told.append(done)) == [0, 2]
    assert told[-1] == (3, 3)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32, np.uint16, np.float16])
@pytest.mark.parametrize("header", [0.0, 1.0, 2.0])
def test_stacks_of_every_mode_in_an_odd_box(particle_file, dtype, header):
    """Values as they are stored, whatever the header says of the pixel size."""
    values = np.random.default_rng(0).integers(0, 100, (3, 7, 7)).astype(dtype)
    write_stack_file(particle_file.path.parent / "stack.mrcs", values, header)
    particle_file.optics[0]["rlnImageSize"] = 7
    particle_file.set("rlnImageName", "2@stack.mrcs", "3@stack.mrcs", "1@stack.mrcs")
    particles = read_particles(particle_file.write())
    assert (particles.pixel_size, particles.box_size) == (2.0, 7)
    images = particles.images.read(EVERY)
    assert images.dtype == torch.float32
    np.testing.assert_array_equal(images.numpy(), values[[1, 2, 0]])
    assert read_batch(particles, EVERY, particles.grid).image_ft.shape == (3, 7, 4)


def test_images_beyond_four_gibibytes(particle_file):
    """Images 1 and 300,000 of 16 KiB each; the hole between them takes no room."""
    path = particle_file.path.parent / "large.mrcs"
    ends = np.random.default_rng(0).normal(size=(2, 64, 64)).astype("<f4")
    with path.open("wb") as file:
        file.write(make_header((300_000, 64, 64), 2.0, is_stack=True))
        file.write(ends[0].tobytes())
        file.seek(1024 + 299_999 * 64 * 64 * 4)
        file.write(ends[1].tobytes())
    assert path.stat().st_size > 2**32
    particle_file.optics[0]["rlnImageSize"] = 64
    particle_file.set("rlnImageName", "300000@large.mrcs", "1@large.mrcs", "2@large.mrcs")
    images = read_particles(particle_file.write()).images.read(EVERY).numpy()
    np.testing.assert_array_equal(images[[1, 0]], ends)
    assert not images[2].any()


def test_folders_with_stacks_of_equal_names(mixed):
    """Also where the data folder holds a third of that name."""
    mixed.optics[0] |= {"rlnImagePixelSize": 2.0, "rlnImageSize": 8}
    other = np.random.default_rng(2).normal(size=(2, 8, 8)).astype(np.float32)
    folder = mixed.path.parent
    write_stack_file(folder / "coarse/stack.mrcs", other)
    write_stack_file(folder / "data/coarse/stack.mrcs", other + 7)
    mixed.set("rlnImageName", "1@stack.mrcs", "2@stack.mrcs", "2@coarse/stack.mrcs")
    path = mixed.write()
    particles = read_particles(path)
    assert particles.same_image is None
    images = particles.images.read(EVERY).numpy()
    expected = np.stack([*mixed.images[:2], other[1]])
    np.testing.assert_array_equal(images, expected)
    images = read_particles(path, data_folder=folder / "data").images.read(EVERY).numpy()
    np.testing.assert_array_equal(images[2], other[1] + 7)
    np.testing.assert_array_equal(images[0], mixed.images[0])
