"""One picture of a whole job: particles, where they lie along the motion, and what moves."""

import io
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume

_DOT = "#0072B2"


def draw_overview(
    images: Float[Tensor, "images n n"],
    latent: Float[Tensor, "particles"],
    truth: Float[Tensor, "particles"],
    models: GaussianModel,
    volumes: list[Volume],
) -> bytes:
    """A PNG of four parts, from left to right.

    Parameters
    ----------
    images
        A few particles as they were measured.
    latent, truth
        What was found of each particle, and what is true of it.
    models, volumes
        The decoded Gaussians and the maps rebuilt from particles, along the path.
    """
    with rc_context({"font.family": "sans-serif", "font.size": 9, "axes.titlesize": 10}):
        figure = Figure(figsize=(11, 2.9), dpi=150, layout="constrained")
        parts: Any = figure.subfigures(1, 3, width_ratios=(1.0, 1.15, 2.3))
        left, middle, right = parts
        _draw_images(left, images.numpy())
        _draw_recovery(middle.subplots(), latent.numpy(), truth.numpy())
        _draw_path(right, models, volumes)
        file = io.BytesIO()
        figure.savefig(file, format="png", facecolor="white")
    return file.getvalue()


def _draw_images(part: SubFigure, images: Float[np.ndarray, "images n n"]) -> None:
    part.suptitle("particles", fontsize=10)
    side = int(len(images) ** 0.5)
    for axes, image in zip(part.subplots(side, side).flat, images, strict=False):
        axes.imshow(image, cmap="gray")
        axes.set_axis_off()


def _draw_recovery(
    axes: Axes, latent: Float[np.ndarray, "particles"], truth: Float[np.ndarray, "particles"]
) -> None:
    jitter = np.random.default_rng(0).uniform(-0.02, 0.02, len(truth))
    axes.scatter(truth + jitter, latent, s=2, color=_DOT, alpha=0.35, linewidths=0)
    axes.set(title="latent of each particle", xlabel="true position along the motion")
    axes.set_ylabel("latent")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_path(part: SubFigure, models: GaussianModel, volumes: list[Volume]) -> None:
    part.suptitle("Gaussian model and rebuilt map along the motion", fontsize=10)
    rows = part.subplots(2, len(volumes))
    size = (models.amplitude * models.width**3).numpy()
    reach = float(models.center[..., :2].abs().max()) * 1.15
    brightest = max(float(volume.density.sum(0).max()) for volume in volumes)
    for step, (above, below, volume) in enumerate(zip(*rows, volumes, strict=True)):
        center = models.center[step].numpy()
        order = center[:, 2].argsort()
        area = 90 * size[step] / size.max()
        above.scatter(
            center[order, 0], center[order, 1], s=area[order], c=center[order, 1],
            cmap="cividis", alpha=0.75, linewidths=0,
        )  # fmt: skip
        half = volume.box_size * volume.voxel_size / 2
        below.imshow(
            volume.density.sum(0).clamp_min(0).numpy(), cmap="gray_r", vmax=brightest,
            origin="lower", extent=(-half, half, -half, half),
        )  # fmt: skip
        for axes in (above, below):
            axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
            axes.set_axis_off()
