"""Images of several samplings on one grid: the same molecule gives the same transform."""

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid, sum_over_rings, to_fourier, to_real
from cryomix.imaging.common_grid import CommonGridStack, find_grids
from cryomix.imaging.particles import Particles, read_batch
from cryomix.imaging.projection_reference import project_gaussians_reference


class _Stack:
    """Images of several boxes."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def read(self, index):
        return torch.stack([self.images[row] for row in index.tolist()])


GRIDS = [
    FourierGrid(48, 2.0),
    FourierGrid(64, 1.5),
    FourierGrid(50, 2.3),  # longer
    FourierGrid(41, 1.9),  # odd and shorter
    FourierGrid(51, 2.5),  # odd and longer
]


def images_on(grids, model, poses):
    return [
        to_real(project_gaussians_reference(model, poses, grid)).float()[number]
        for number, grid in enumerate(grids)
    ]


@pytest.mark.parametrize("first", range(len(GRIDS)))
def test_one_molecule_has_one_transform(model, poses, first):
    """Whichever grid is the common one, to the detail that all hold."""
    order = [first, *(number for number in range(5) if number != first)]
    grids = [GRIDS[number] for number in order]
    images = images_on(GRIDS, model, poses)
    own = torch.tensor([order.index(number) for number in range(5)])
    stack = CommonGridStack(_Stack(images), grids, own)
    assert stack.grid == GRIDS[first]
    assert stack.finest == 5.0
    index = torch.tensor([3, 0, 4, 2, 1])
    got = to_fourier(stack.read(index)).to(torch.complex128)
    inside = stack.grid.radius < (1 - 1e-9) / 5
    expected = project_gaussians_reference(model, poses, stack.grid)[index] * inside
    error = sum_over_rings((got - expected).abs().square(), stack.grid)
    power = sum_over_rings(expected.abs().square(), stack.grid)
    rings = int(0.9 * stack.grid.box_length / 5)
    # Detail cut off at the frame of a small odd box is what is left of an error.
    assert (error / power)[:, :rings].max() < 1e-3
    assert float((error.sum(1) / power.sum(1)).max()) < 1e-5
    assert got[:, ~inside].abs().max() < 1e-3 * got.abs().max()


def test_a_pixel_keeps_its_value(model, poses):
    """At the centre, and the mean of a box as long."""
    images = [image + 100 for image in images_on(GRIDS[:2], model, poses)]
    stack = CommonGridStack(_Stack(images), GRIDS[:2], torch.tensor([0, 1]))
    coarse, fine = stack.read(torch.tensor([0, 1]))
    torch.testing.assert_close(fine.mean(), images[1].mean())
    torch.testing.assert_close(coarse, images[0], atol=0.02, rtol=0)
    torch.testing.assert_close(fine[24, 24], images[1][32, 32], atol=0.02, rtol=0)


def test_a_neighbor_outside_the_frame_is_not_folded_in():
    alone = torch.zeros(64, 64)
    alone[32, 40] = 1.0
    beside = alone.clone()
    beside[5, 32] = 1.0  # 27 px of 2 Å from the centre, where the common box ends after 20
    grids = [FourierGrid(40, 2.0), FourierGrid(64, 2.0)]
    stack = CommonGridStack(_Stack([alone, beside]), grids, torch.tensor([1, 1]))
    first, second = stack.read(torch.tensor([0, 1]))
    assert first.argmax() == 20 * 40 + 28
    torch.testing.assert_close(first, second)


def test_a_blank_image_stays_blank():
    images = [torch.full((grid.box_size, grid.box_size), 0.1) for grid in GRIDS]
    stack = CommonGridStack(_Stack(images), GRIDS, torch.arange(5))
    read = stack.read(torch.arange(5)).flatten(1)
    assert torch.equal(read.amin(1), read.amax(1))
    torch.testing.assert_close(read, torch.full_like(read, 0.1))


def test_noise_is_equally_strong_in_images_of_every_sampling(make_ctf, poses):
    """Weights of rings, which are the same for all particles, are then right for each."""
    generator = torch.Generator().manual_seed(0)
    count = 40
    images = [
        torch.randn(grid.box_size, grid.box_size, generator=generator) + 5
        for grid in GRIDS
        for _ in range(count)
    ]
    own = torch.arange(5).repeat_interleave(count)
    stack = CommonGridStack(_Stack(images), GRIDS, own)
    row = torch.arange(len(own))
    everyone = torch.zeros(len(own), dtype=torch.int64)
    placed = type(poses)(poses.rotation[everyone].float(), poses.shift[everyone].float())
    particles = Particles(
        stack, placed, make_ctf(len(own)), 2.0, 48, (1 + row % 2).to(torch.int8), row,
        limit=stack.finest,
    )  # fmt: skip
    image_ft = read_batch(particles, row, particles.grid).image_ft
    power = sum_over_rings(image_ft.abs().square(), particles.grid)[:, 4:18].sum(1)
    share = power.reshape(5, count).mean(1)
    assert (share / share.mean() - 1).abs().max() < 0.03


def test_samplings_are_counted():
    box = torch.tensor([64, 64, 64, 48, 64, 64])
    pixel = torch.tensor([2.0, 1.5, 1.50001, 1.5, 2.1, 1.49999], dtype=torch.float64)
    grids, own = find_grids(box, pixel)
    assert [(grid.box_size, grid.pixel_size) for grid in grids] == [
        (64, 1.5), (64, 2.0), (48, 1.5), (64, 2.1),
    ]  # fmt: skip
    assert own.tolist() == [1, 0, 0, 2, 3, 0]
    grids, own = find_grids(box[:1], pixel[:1])
    assert (len(grids), own.tolist()) == (1, [0])
