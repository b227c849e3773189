"""Pictures of a molecule along a path: where its Gaussians go, its density, the maps rebuilt."""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from PIL import Image

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume
from cryomix.latent.motion import largest_moving_group
from cryomix.report.figures import INK, STYLE, nice_length, to_svg

MOVER = (0.835, 0.369, 0.0)  # Okabe and Ito's vermilion
FRAMES = 24
PIXELS = 160
ARROWS_AT_MOST = 140
_NAMES = "xyz"
# Line of sight, then the axes to the right and upwards.
_VIEWS = ((2, 0, 1), (1, 0, 2), (0, 1, 2))


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


def draw_motion(models: GaussianModel) -> str:
    """The way of each Gaussian along the path, seen along z, y and x, coloured by its length."""
    center = models.center.double().numpy()
    size = (models.amplitude * models.width**3).double().mean(dim=0).numpy()
    way = np.linalg.norm(np.diff(center, axis=0), axis=2).sum(axis=0)
    farthest = np.linalg.norm(center - center[0], axis=2).max(axis=0)
    arrows = np.argsort(farthest)[::-1][:ARROWS_AT_MOST]
    arrows = arrows[farthest[arrows] > 0.25 * farthest.max()]
    reach = 1.05 * float(np.abs(center).max())
    scale = Normalize(0, max(float(np.quantile(way, 0.99)), 1e-6))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 3.7), layout="constrained")
        panels = figure.subplots(1, 3)
        for axes, view in zip(panels, _VIEWS, strict=True):
            _draw_ways(axes, center, size, way, arrows, view, scale)
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            _draw_scale(axes, reach)
        bar = figure.colorbar(
            ScalarMappable(scale, "viridis"), ax=panels, shrink=0.7, aspect=24, pad=0.01
        )
        bar.set_label("length of way (Å)")
        bar.outline.set_visible(False)
        return to_svg(figure, "Ways of the Gaussians")


def make_film(models: GaussianModel, is_closed: bool) -> Film:
    """Projections of the density along the path; the largest moving part is in colour."""
    inside = largest_moving_group(models).inside.numpy()
    center = models.center.double().numpy()
    mass = (models.amplitude * models.width**3).double().numpy()
    width = models.width.double().numpy()
    # The view in which the moving part moves most: along the axis that it moves least on.
    depth = int(np.argmin(np.var(center[:, inside], axis=0).sum(axis=0)))
    view = next(axes for axes in _VIEWS if axes[0] == depth)
    reach = 1.05 * float(np.abs(center).max() + width.max())

    def frame(position: float) -> Float[np.ndarray, "2 pixels pixels"]:
        now = [_between(values, position) for values in (center, mass, width)]
        return _project(now[0], now[1], now[2], inside, view, reach)

    last = len(center) - 1
    steps = [frame(float(step)) for step in range(len(center))]
    brightest = max(float(np.quantile(step.sum(axis=0), 0.998)) for step in steps)
    positions = _positions(last, is_closed)
    frames = [_colored(frame(position), brightest) for position in positions]
    return Film(
        moving=_animation_uri(frames),
        still=_image_uri(frames[0]),
        steps=tuple(_image_uri(_colored(step, brightest)) for step in steps),
        view=_NAMES[depth],
    )


def picture_volumes(volumes: list[Volume], view: str = "z") -> list[str]:
    """Projections of maps along one axis on one scale of grey, as data URIs."""
    axis = 2 - _NAMES.index(view)  # arrays are (z, y, x)
    pictures = [volume.density.double().sum(dim=axis).numpy() for volume in volumes]
    # The density array's later axis runs to the right, as in the film; y and z run upwards.
    pictures = [picture[::-1] for picture in pictures]
    darkest = max(float(np.quantile(picture, 0.998)) for picture in pictures)
    lightest = float(np.median([np.quantile(picture, 0.05) for picture in pictures]))
    span = max(darkest - lightest, 1e-12)
    return [_image_uri(_grey((picture - lightest) / span)) for picture in pictures]


def _draw_ways(
    axes: Axes,
    center: Float[np.ndarray, "steps gaussians 3"],
    size: Float[np.ndarray, "gaussians"],
    way: Float[np.ndarray, "gaussians"],
    arrows: np.ndarray,
    view: tuple[int, int, int],
    scale: Normalize,
) -> None:
    depth, right, up = view
    order = np.argsort(center[0, :, depth])  # the nearest last, on top
    flat = center[:, :, [right, up]]
    area = 10 * np.clip(size / max(float(size.mean()), 1e-30), 0.1, 4)
    axes.scatter(
        flat[0, order, 0], flat[0, order, 1], s=area[order], c=way[order], norm=scale, cmap="viridis", alpha=0.75,
        linewidths=0, rasterized=True,
    )  # fmt: skip
    if len(arrows):
        lines = list(np.swapaxes(flat[:, arrows], 0, 1))
        axes.add_collection(LineCollection(lines, colors=INK, linewidths=0.7, alpha=0.55))
        tip, before = flat[-1, arrows], flat[-2, arrows]
        for end, start in zip(tip, before, strict=True):
            axes.annotate(
                "", end, start,
                arrowprops={
                    "arrowstyle": "-|>", "mutation_scale": 6, "color": INK, "linewidth": 0,
                    "shrinkA": 0, "shrinkB": 0, "alpha": 0.8,
                },
            )  # fmt: skip
    axes.set_title(f"along {_NAMES[depth]}", fontsize=9.5)
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)


def _draw_scale(axes: Axes, reach: float) -> None:
    length = nice_length(0.5 * reach)
    left, low = -0.97 * reach, -0.97 * reach
    axes.plot([left, left + length], [low, low], color=INK, linewidth=1.6)
    axes.text(left + length / 2, low + 0.03 * reach, f"{length:g} Å", ha="center", va="bottom")


def _positions(last: int, is_closed: bool) -> list[float]:
    """Steps shown by the film: round the loop, or there and back with ease at the ends."""
    if is_closed:
        return [step * (last + 1) / FRAMES for step in range(FRAMES)]
    return [last * (0.5 - 0.5 * float(np.cos(2 * np.pi * step / FRAMES))) for step in range(FRAMES)]


def _between(values: np.ndarray, position: float) -> np.ndarray:
    """Linear between steps; past the last step it goes back to the first."""
    low = int(position) % len(values)
    part = position - int(position)
    mixed: np.ndarray = (1 - part) * values[low] + part * values[(low + 1) % len(values)]
    return mixed


def _project(
    center: Float[np.ndarray, "gaussians 3"],
    mass: Float[np.ndarray, "gaussians"],
    width: Float[np.ndarray, "gaussians"],
    inside: Bool[np.ndarray, "gaussians"],
    view: tuple[int, int, int],
    reach: float,
) -> Float[np.ndarray, "2 pixels pixels"]:
    """Line integrals of what stays and of what moves, row 0 at the top."""
    axis = np.linspace(-reach, reach, PIXELS)
    _, right, up = view
    shown = np.maximum(width, reach / PIXELS)[:, None]
    x = np.exp(-0.5 * ((axis - center[:, right, None]) / shown) ** 2)
    y = np.exp(-0.5 * ((-axis - center[:, up, None]) / shown) ** 2)
    weight = mass[:, None] / shown**2
    return np.stack([(y * weight * part[:, None]).T @ x for part in (~inside, inside)])


def _colored(
    density: Float[np.ndarray, "2 pixels pixels"], brightest: float
) -> UInt8[np.ndarray, "pixels pixels 3"]:
    """White where nothing is; grey for what stays, vermilion for what moves."""
    still, mover = np.clip(density / max(brightest, 1e-30), 0, None) ** 0.8
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
