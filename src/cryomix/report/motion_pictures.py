"""Pictures of a molecule along a path: where its Gaussians go, its density, the maps rebuilt."""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Int64, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from PIL import Image

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume
from cryomix.latent.flow import DensityFlow, MovingGroup
from cryomix.report.figures import INK, STYLE, nice_length, to_svg

MOVER = (0.835, 0.369, 0.0)  # Okabe and Ito's vermilion
FRAMES = 24
PIXELS = 224
LINES_AT_MOST = 80
# From grey, which shows on light and on dark pages, to the colour of what moves.
WAYS = LinearSegmentedColormap.from_list("ways", ["#A4ABB2", "#E69F00", "#D55E00"])
AXES = "xyz"
# Line of sight, then the axes to the right and upwards.
VIEWS = ((2, 0, 1), (1, 0, 2), (0, 1, 2))


@dataclass(frozen=True, slots=True)
class Film:
    """Density along a path.

    Attributes
    ----------
    moving, still
        The film, and its first frame for who wants no animation; data URIs.
    steps
        One picture per step; data URIs.
    view
        Axis of the model that one looks along.
    """

    moving: str
    still: str
    steps: tuple[str, ...]
    view: str


@dataclass(frozen=True, slots=True)
class Frame:
    """What a picture shows: a cube.

    Attributes
    ----------
    middle
        (x, y, z), Å.
    reach
        Half its edge, Å.
    """

    middle: tuple[float, float, float]
    reach: float


def draw_flow(flow: DensityFlow, frame: Frame, number: int = 1) -> str:
    """The ways of the density along path `number`, seen along z, y and x."""
    place, size = flow.place.numpy(), flow.mass[0].numpy()
    way = np.linalg.norm(np.diff(place, axis=0), axis=2).sum(axis=0)
    # Density that is mostly lost, and what weighs next to nothing, has no way worth a line.
    shown = (flow.kept[-1].numpy() > 0.3) & (size > 0.2 * np.median(size))
    movers = np.flatnonzero(shown & (way > 0.25 * way[shown].max(initial=0)))
    movers = movers[np.argsort(-way[movers], kind="stable")][:LINES_AT_MOST]
    scale = Normalize(0, max(float(way[shown].max(initial=0)), 1e-6))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.3), layout="constrained")
        panels = figure.subplots(1, 3)
        for axes, view in zip(panels, VIEWS, strict=True):
            _draw_ways(axes, place, size, way, movers, view, scale)
            _, right, up = view
            x, y, reach = frame.middle[right], frame.middle[up], frame.reach
            axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach), aspect="equal")
            draw_scale(axes, x, y, reach)
        bar = figure.colorbar(
            ScalarMappable(scale, WAYS), ax=panels, shrink=0.7, aspect=24, pad=0.01
        )
        bar.set_label("length of way (Å)")
        bar.outline.set_visible(False)
        return to_svg(figure, f"Ways of the density along path {number}")


def make_film(models: GaussianModel, group: MovingGroup, is_closed: bool) -> Film:
    """Projections of the density along the path; the largest moving part is in colour."""
    moving = group.share.double().numpy()
    center = models.center.double().numpy()
    mass = (models.amplitude * models.width**3).double().numpy()
    width = models.width.double().numpy()
    view = _best_view(group, center[0], mass[0] * (1 - moving[0]))
    frame = frame_models(models)

    def density(position: float) -> Float[np.ndarray, "2 pixels pixels"]:
        now = [between(values, position) for values in (center, mass, width, moving)]
        return project_parts(now[0], now[1], now[2], now[3], view, frame, PIXELS)

    steps = [density(float(step)) for step in range(len(center))]
    darkest = max(float(np.quantile(step.sum(axis=0), 0.998)) for step in steps)
    positions = positions_along(len(center) - 1, FRAMES, is_closed)
    pictures = [color_parts(density(position), darkest) for position in positions]
    return Film(
        moving=_animation_uri(pictures),
        still=_image_uri(pictures[0]),
        steps=tuple(_image_uri(color_parts(step, darkest)) for step in steps),
        view=AXES[view[0]],
    )


def picture_volumes(
    volumes: list[Volume], view: str = "z", frame: Frame | None = None
) -> list[str]:
    """As `project_volumes`, as data URIs."""
    return [_image_uri(picture) for picture in project_volumes(volumes, view, frame)]


def project_volumes(
    volumes: list[Volume], view: str = "z", frame: Frame | None = None
) -> list[UInt8[np.ndarray, "rows columns"]]:
    """Projections of maps along one axis on one scale of grey.

    `frame` cuts them to the part that a film shows.
    """
    depth, right, up = next(axes for axes in VIEWS if AXES[axes[0]] == view)
    pictures = []
    for volume in volumes:
        # Arrays are (z, y, x): what is left keeps the axis that points up before the other.
        picture = volume.density.double().sum(dim=2 - depth).numpy()
        if frame is not None:
            picture = _cut(picture, volume.voxel_size, frame, right, up)
        pictures.append(picture[::-1])
    darkest = max(float(np.quantile(picture, 0.998)) for picture in pictures)
    lightest = float(np.median([np.quantile(picture, 0.05) for picture in pictures]))
    span = max(darkest - lightest, 1e-12)
    return [_grey((picture - lightest) / span) for picture in pictures]


def frame_models(models: GaussianModel) -> Frame:
    """The cube that holds nearly all Gaussians at every step."""
    center = models.center.double().flatten(0, -2).numpy()
    low, high = np.percentile(center, (0.3, 99.7), axis=0)
    reach = float((high - low).max() / 2 + 3 * models.width.mean())
    middle = (low + high) / 2
    return Frame((float(middle[0]), float(middle[1]), float(middle[2])), max(reach, 1e-3))


def _best_view(
    group: MovingGroup,
    center: Float[np.ndarray, "gaussians 3"],
    rest: Float[np.ndarray, "gaussians"],
) -> tuple[int, int, int]:
    """Of the views that show nine tenths of the motion, that which shows it beside the rest."""
    moved = group.center.double().var(dim=0, correction=0).numpy()
    middle = (center * rest[:, None]).sum(axis=0) / max(float(rest.sum()), 1e-30)
    beside = np.abs(group.center.double().mean(dim=0).numpy() - middle)
    shown = {view: float(moved[[view[1], view[2]]].sum()) for view in VIEWS}
    good = [view for view in VIEWS if shown[view] >= 0.9 * max(shown.values())]
    return max(good, key=lambda view: float(np.hypot(beside[view[1]], beside[view[2]])))


def _cut(
    picture: Float[np.ndarray, "n n"], size: float, frame: Frame, right: int, up: int
) -> Float[np.ndarray, "rows columns"]:
    """What `frame` shows of a projection with pixels of `size` Å; zero beyond the box."""
    n = len(picture)
    edge = max(2, round(2 * frame.reach / size))
    margin = n + edge
    padded = np.pad(picture, margin)
    row, column = (
        margin + n // 2 + round(frame.middle[axis] / size) - edge // 2 for axis in (up, right)
    )
    row, column = (min(max(place, 0), len(padded) - edge) for place in (row, column))
    return padded[row : row + edge, column : column + edge]


def _draw_ways(
    axes: Axes,
    center: Float[np.ndarray, "steps gaussians 3"],
    size: Float[np.ndarray, "gaussians"],
    way: Float[np.ndarray, "gaussians"],
    movers: Int64[np.ndarray, "movers"],
    view: tuple[int, int, int],
    scale: Normalize,
) -> None:
    depth, right, up = view
    order = np.argsort(center[0, :, depth])  # the nearest last, on top
    flat = center[:, :, [right, up]]
    area = 10 * np.clip(size / max(float(size.mean()), 1e-30), 0.1, 4)
    axes.scatter(
        flat[0, order, 0], flat[0, order, 1], s=area[order], c=way[order], norm=scale,
        cmap=WAYS, alpha=0.8, linewidths=0, rasterized=True,
    )  # fmt: skip
    if len(movers):
        colors = WAYS(scale(way[movers]))
        lines = list(np.swapaxes(flat[:, movers], 0, 1))
        axes.add_collection(LineCollection(lines, colors=colors, linewidths=1.0, alpha=0.9))
        for color, start, end in zip(colors, flat[-2, movers], flat[-1, movers], strict=True):
            axes.annotate(
                "", end, start,
                arrowprops={
                    "arrowstyle": "-|>", "mutation_scale": 7, "color": color, "linewidth": 0,
                    "shrinkA": 0, "shrinkB": 0,
                },
            )  # fmt: skip
    axes.set_title(f"along {AXES[depth]}", fontsize=9.5)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)


def draw_scale(axes: Axes, x: float, y: float, reach: float) -> None:
    """A bar of a round length in Å at the lower left of a square about (x, y)."""
    length = nice_length(0.5 * reach)
    left, low = x - 0.97 * reach, y - 0.97 * reach
    axes.plot([left, left + length], [low, low], color=INK, linewidth=1.6)
    axes.text(left + length / 2, low + 0.03 * reach, f"{length:g} Å", ha="center", va="bottom")


def positions_along(last: int, frames: int, is_closed: bool) -> list[float]:
    """Steps shown by a film: round the loop, or there and back with ease at the ends."""
    if is_closed:
        return [step * (last + 1) / frames for step in range(frames)]
    return [last * (0.5 - 0.5 * float(np.cos(2 * np.pi * step / frames))) for step in range(frames)]


def between(values: np.ndarray, position: float) -> np.ndarray:
    """Linear between steps; past the last step it goes back to the first."""
    low = int(position) % len(values)
    part = position - int(position)
    mixed: np.ndarray = (1 - part) * values[low] + part * values[(low + 1) % len(values)]
    return mixed


def project_parts(
    center: Float[np.ndarray, "gaussians 3"],
    mass: Float[np.ndarray, "gaussians"],
    width: Float[np.ndarray, "gaussians"],
    moving: Float[np.ndarray, "gaussians"],
    view: tuple[int, int, int],
    frame: Frame,
    pixels: int,
) -> Float[np.ndarray, "2 pixels pixels"]:
    """Line integrals of what stays and of what moves, row 0 at the top."""
    axis = np.linspace(-frame.reach, frame.reach, pixels)
    _, right, up = view
    shown = np.maximum(width, frame.reach / pixels)[:, None]
    offset_x = axis + frame.middle[right] - center[:, right, None]
    offset_y = frame.middle[up] - axis - center[:, up, None]
    x, y = (np.exp(-0.5 * (offset / shown) ** 2) for offset in (offset_x, offset_y))
    weight = mass[:, None] / shown**2
    return np.stack([(y * weight * part[:, None]).T @ x for part in (1 - moving, moving)])


def color_parts(
    density: Float[np.ndarray, "2 pixels pixels"], darkest: float
) -> UInt8[np.ndarray, "pixels pixels 3"]:
    """White where nothing is; grey for what stays, vermilion for what moves."""
    still, mover = np.clip(density / max(darkest, 1e-30), 0, None) ** 0.8
    paint = 0.85 * still[..., None] + mover[..., None] * (1 - np.array(MOVER))
    return (255 * np.clip(1 - paint, 0, 1)).round().astype(np.uint8)


def _grey(picture: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns"]:
    return (255 * (1 - 0.9 * np.clip(picture, 0, 1))).round().astype(np.uint8)


def _image_uri(pixels: UInt8[np.ndarray, "rows columns ..."]) -> str:
    with io.BytesIO() as file:
        image = Image.fromarray(pixels)
        if max(image.size) > PIXELS:
            image.thumbnail((PIXELS, PIXELS), Image.Resampling.LANCZOS)
        image.save(file, format="PNG", optimize=True)
        return _data_uri(file.getvalue(), "image/png")


def _animation_uri(frames: list[UInt8[np.ndarray, "pixels pixels 3"]]) -> str:
    first, *others = [Image.fromarray(frame) for frame in frames]
    with io.BytesIO() as file:
        first.save(
            file, format="WEBP", save_all=True, append_images=others, duration=110, loop=0,
            quality=80, method=4,
        )  # fmt: skip
        return _data_uri(file.getvalue(), "image/webp")


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
