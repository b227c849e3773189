"""Images of several pixel or box sizes, each resampled on the grid that most of them have."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex, Float, Int, Int64
from torch import Tensor

from cryomix.geometry.fourier import FourierGrid, to_fourier, to_real
from cryomix.imaging.particles import ImageStack

_SAME_PIXEL_SIZE = 1e-4  # relative; text rounds


def find_grids(
    box_size: Int64[Tensor, "images"], pixel_size: Float[Tensor, "images"]
) -> tuple[list[FourierGrid], Int64[Tensor, "images"]]:
    """The samplings that there are, that of most images first, and which one each image has.

    Pixel sizes that differ by less than a ten-thousandth are one, that of the first such image.
    """
    boxes, box = box_size.unique(return_inverse=True)
    pixels, pixel = pixel_size.double().unique(return_inverse=True)
    pair, kind, count = (box * len(pixels) + pixel).unique(return_inverse=True, return_counts=True)
    kinds = torch.stack([boxes[pair // len(pixels)], pixels[pair % len(pixels)]], dim=1)
    merged = torch.arange(len(kinds))
    for number in range(1, len(kinds)):  # sorted by box size, then by pixel size
        (edge, size), (last_edge, last_size) = kinds[number], kinds[merged[number - 1]]
        if edge == last_edge and size - last_size <= _SAME_PIXEL_SIZE * last_size:
            merged[number] = merged[number - 1]
    total = torch.zeros(len(kinds), dtype=torch.int64).index_add(0, merged, count)
    first = torch.full((len(kinds),), len(kind)).scatter_reduce(
        0, merged[kind], torch.arange(len(kind)), "amin"
    )
    used = [number for number in range(len(kinds)) if total[number]]
    used.sort(key=lambda number: (-int(total[number]), int(first[number])))
    place = torch.zeros(len(kinds), dtype=torch.int64)
    place[used] = torch.arange(len(used))
    grids = [FourierGrid(int(box_size[row]), float(pixel_size[row])) for row in first[used]]
    return grids, place[merged[kind]]


class CommonGridStack:
    """Images of several samplings, read on the first of them.

    Their detail ends for all where the coarsest of them ends. So noise has the same share of the
    variance of each, and no ring holds signal from some and zeros from others.

    Parameters
    ----------
    images
        As stored; asked only for images of one box at a time.
    grids
        The samplings; the first is that of all images that are read.
    own
        Which of `grids` each image has.
    """

    def __init__(
        self, images: ImageStack, grids: Sequence[FourierGrid], own: Int64[Tensor, "images"]
    ) -> None:
        self.images = images
        self.grids = tuple(grids)
        self.own = own
        inside = self.grid.radius < (1 - 1e-9) / self.finest
        self._resamplings = [_Resampling(grid, self.grid, inside) for grid in self.grids]

    def __len__(self) -> int:
        return len(self.own)

    @property
    def grid(self) -> FourierGrid:
        """Sampling of the images that are read."""
        return self.grids[0]

    @property
    def finest(self) -> float:
        """Finest detail that all images hold, two of the largest pixels, Å."""
        return 2 * max(grid.pixel_size for grid in self.grids)

    def read(self, index: Int[Tensor, "batch"]) -> Float[Tensor, "batch n n"]:
        """The images at `index`, in that order, float32."""
        n = self.grid.box_size
        images = torch.empty(len(index), n, n)
        for own, resampling in enumerate(self._resamplings):
            place = (self.own[index] == own).nonzero().flatten()
            if len(place):
                images[place] = resampling(self.images.read(index[place]))
        return images

    def rows_by_grid(self) -> list[Int64[Tensor, "rows"]]:
        """The images of each sampling."""
        return [(self.own == own).nonzero().flatten() for own in range(len(self.grids))]


class _Resampling:
    """From one sampling to another, exact at each frequency: a discrete transform there.

    A box that is longer is cropped first, or else what lies beyond the target would be folded
    into it; one that is shorter is continued with its background, the mean outside of the largest
    circle.
    """

    def __init__(
        self, source: FourierGrid, target: FourierGrid, inside: Bool[Tensor, "rows columns"]
    ) -> None:
        n, pixel_size = source.box_size, source.pixel_size
        m = min(n, int(target.box_length / pixel_size + 1e-6))
        self._kept = slice(n // 2 - m // 2, n // 2 - m // 2 + m)  # pixel m // 2 is pixel n // 2
        self._is_same = source == target
        self._inside = inside
        # An image is a density per area: coefficients count the pixels of their own sampling.
        self._scale = (pixel_size / target.pixel_size) ** 2
        position = (torch.arange(m) - m // 2).double() * pixel_size
        self._background = torch.hypot(position[:, None], position) > m / 2 * pixel_size
        self._rows, self._columns = (
            _waves(frequency, position) for frequency in (target.frequency_y, target.frequency_x)
        )

    def __call__(self, image: Float[Tensor, "batch n n"]) -> Float[Tensor, "batch m m"]:
        image = image[:, self._kept, self._kept]
        # Blank images stay so: what rounding leaves of them would pass for one.
        inside = self._inside * (image.amax(dim=(-2, -1)) > image.amin(dim=(-2, -1)))[:, None, None]
        background = image[:, self._background].mean(dim=1)[:, None, None]
        if self._is_same:
            image_ft = to_fourier(image - background)
        else:
            columns = (image - background).to(self._columns.dtype) @ self._columns.mT
            image_ft = self._scale * (self._rows @ columns)
        return to_real(image_ft * inside) + background


def _waves(
    frequency: Float[Tensor, "frequencies"], position: Float[Tensor, "pixels"]
) -> Complex[Tensor, "frequencies pixels"]:
    phase = -2 * torch.pi * frequency[:, None] * position
    return torch.polar(torch.ones_like(phase), phase).to(torch.complex64)
