"""Arrows from where Gaussians are in one state to where they are in another, over their density."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.report.figures import STYLE
from cryomix.report.motion_pictures import (
    AXES,
    VIEWS,
    Frame,
    draw_scale,
    project_parts,
)

MOST_ARROWS = 150
_PIXELS = 320
# The largest part of viridis that shows on white: what moves most is darkest, for any vision.
_COLORS = LinearSegmentedColormap.from_list(
    "moved", mpl.colormaps["viridis"](np.linspace(0.92, 0, 64))
)


@dataclass(frozen=True, slots=True)
class Arrows:
    """Ways of density.

    Attributes
    ----------
    start
        (x, y, z), Å.
    displacement
        From there, Å.
    """

    start: Float[Tensor, "arrows 3"]
    displacement: Float[Tensor, "arrows 3"]

    def __len__(self) -> int:
        return len(self.start)


def gather_arrows(
    start: Float[Tensor, "points 3"],
    displacement: Float[Tensor, "points 3"],
    mass: Float[Tensor, "points"],
    most: int = MOST_ARROWS,
) -> Arrows:
    """At most `most` arrows: mean start and mean displacement, by mass, of those in each cube.

    Cubes are as small as that allows. What weighs next to nothing has no arrow, nor has what
    moves less than a fifth as far as the most mobile 2 % of the rest.
    """
    heavy = mass > 0.05 * mass.median()
    length = displacement.norm(dim=1)
    far = length >= 0.2 * torch.quantile(length[heavy], 0.98)
    start, displacement, weight = (
        values[heavy & far].double() for values in (start, displacement, mass)
    )
    if len(start) <= most:
        return Arrows(start, displacement)
    low = start.amin(dim=0)
    edge = float((start.amax(dim=0) - low).max()) / most
    number = torch.tensor([1, most + 2, (most + 2) ** 2])  # so that each cube has its own
    while True:
        _, cube = (((start - low) / edge).long() @ number).unique(return_inverse=True)
        if int(cube.max()) < most:
            break
        edge *= 1.05
    total = weight.new_zeros(int(cube.max()) + 1).index_add(0, cube, weight)[:, None]
    first, way = (
        values.new_zeros(len(total), 3).index_add(0, cube, values * weight[:, None]) / total
        for values in (start, displacement)
    )
    return Arrows(first, way)


def color_by_length(length: Float[np.ndarray, "arrows"]) -> Float[np.ndarray, "arrows 3"]:
    """Red, green and blue, 0 to 1, as in the figures: the longest arrows are darkest."""
    colors: np.ndarray = _COLORS(length / max(float(length.max(initial=0)), 1e-6))
    return colors[:, :3]


def draw_arrows(model: GaussianModel, arrows: Arrows, scale: float = 1.0) -> Figure:
    """The arrows `scale` times as long as the displacements, seen along z, y and x.

    Coloured by the length of the displacement itself, in three dimensions, over the density of
    `model`, from which they start.
    """
    length = arrows.displacement.norm(dim=1).numpy()
    longest = max(float(length.max(initial=0)), 1e-6)
    norm = Normalize(0, longest)
    frame = frame_arrows(model, arrows, scale)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        panels = figure.subplots(1, 3)
        for axes, view in zip(panels, VIEWS, strict=True):
            _draw_density(axes, model, view, frame)
            _draw_view(axes, arrows, length, scale, view, norm)
            _, right, up = view
            x, y, reach = frame.middle[right], frame.middle[up], frame.reach
            axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), aspect="equal")
            axes.set(xticks=[], yticks=[])
            axes.set_title(f"along {AXES[view[0]]}", fontsize=9.5)
            axes.spines[:].set_visible(False)
            draw_scale(axes, x, y, reach)
        bar = figure.colorbar(
            ScalarMappable(norm, _COLORS), ax=panels, shrink=0.7, aspect=24, pad=0.01
        )
        drawn = "" if scale == 1 else f"\narrows drawn {scale:g} times as long"
        bar.set_label(f"displacement (Å){drawn}")
        bar.outline.set_visible(False)
        return figure


def frame_arrows(model: GaussianModel, arrows: Arrows, scale: float) -> Frame:
    """The cube that holds the Gaussians and the arrows with their tips."""
    center = model.center.double()
    low, high = (torch.quantile(center, share, dim=0) for share in (0.003, 0.997))
    ends = torch.cat([arrows.start, arrows.start + scale * arrows.displacement])
    low, high = torch.minimum(low, ends.amin(dim=0)), torch.maximum(high, ends.amax(dim=0))
    x, y, z = ((low + high) / 2).tolist()
    return Frame((x, y, z), float((high - low).max()) / 2 + 3 * float(model.width.mean()))


def _draw_density(
    axes: Axes, model: GaussianModel, view: tuple[int, int, int], frame: Frame
) -> None:
    center, width = model.center.double().numpy(), model.width.double().numpy()
    mass = model.amplitude.double().numpy() * width**3
    still, _ = project_parts(center, mass, width, np.zeros(len(mass)), view, frame, _PIXELS)
    shade = np.clip(still / max(float(np.quantile(still, 0.998)), 1e-30), 0, 1) ** 0.8
    _, right, up = view
    x, y, reach = frame.middle[right], frame.middle[up], frame.reach
    axes.imshow(
        1 - 0.35 * shade, cmap="gray", vmin=0, vmax=1, interpolation="bilinear",
        extent=(x - reach, x + reach, y - reach, y + reach),
    )  # fmt: skip


def _draw_view(
    axes: Axes,
    arrows: Arrows,
    length: Float[np.ndarray, "arrows"],
    scale: float,
    view: tuple[int, int, int],
    norm: Normalize,
) -> None:
    depth, right, up = view
    start, way = arrows.start.numpy(), scale * arrows.displacement.numpy()
    # Right, up and towards the viewer are right-handed, so that along y one looks from below.
    towards = -1 if depth == 1 else 1
    order = np.argsort(towards * start[:, depth])  # the nearest last, on top
    axes.quiver(
        start[order, right], start[order, up], way[order, right], way[order, up], length[order],
        cmap=_COLORS, norm=norm, angles="xy", scale_units="xy", scale=1, width=0.006,
        headwidth=4.2, headlength=4.6, headaxislength=4.2, minlength=0.5, zorder=3,
    )  # fmt: skip
