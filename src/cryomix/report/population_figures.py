"""Diagrams of populations: density over the principal plane, free energy along the path."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from cryomix.latent.density import PlaneDensity
from cryomix.latent.reduction import Embedding
from cryomix.latent.trajectory import Trajectory
from cryomix.report.content import Populations
from cryomix.report.figures import INK, PALETTE, STYLE, to_svg

# From nothing, so that it stands on light and on dark pages, to the colour of the particles.
_CLOUD = LinearSegmentedColormap.from_list(
    "cloud", [(0, 0.447, 0.698, 0), (0, 0.447, 0.698, 0.75), (0, 0.25, 0.42, 1)]
)
_CONTOURS = (0.5, 0.9)  # share of the particles inside
_HEADROOM = 1.6  # kT shown above the highest estimate
_HIGHEST = 6.0  # kT


def draw_density(
    plane: PlaneDensity, pca: Embedding, path: Trajectory | None, is_closed: bool = False
) -> str:
    """Density over the first two principal axes, with the path and its states."""
    density = plane.density.double().numpy()
    x, y = plane.x.numpy(), plane.y.numpy()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        axes = figure.subplots()
        extent = (float(x[0]), float(x[-1]), float(y[0]), float(y[-1]))
        axes.imshow(
            density, cmap=_CLOUD, origin="lower", extent=extent, interpolation="bilinear",
            aspect="equal",
        )  # fmt: skip
        axes.contour(
            x, y, density, levels=_levels(density), colors=INK, linewidths=0.7, alpha=0.55,
        )  # fmt: skip
        if path is not None and pca.basis is not None:
            _draw_states(axes, pca.to_embedding(path.latent)[:, :2].numpy(), is_closed)
        axes.set(xlabel="axis 1", ylabel="axis 2")
        return to_svg(figure, "Density over the principal axes")


def draw_populations(populations: Populations) -> str:
    """Population per length of path, and free energy, with their 95 % intervals."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 4.2), layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True)
        _draw_shares(upper, populations)
        _draw_energy(lower, populations)
        lower.set_xlabel(f"along the path ({populations.unit})")
        if populations.state is not None and len(set(populations.state.tolist())) > 1:
            _mark_states(upper, populations, populations.state.tolist())
        return to_svg(figure, "Population and free energy along the path")


def _levels(density: np.ndarray) -> list[float]:
    """Densities above which lie the shares of the contours, ascending."""
    falling = np.sort(density.ravel())[::-1]
    inside = np.cumsum(falling) / falling.sum()
    found = {float(falling[np.searchsorted(inside, share)]) for share in _CONTOURS}
    return sorted(found)


def _draw_states(axes: Axes, point: np.ndarray, is_closed: bool) -> None:
    line = np.concatenate([point, point[:1]]) if is_closed else point
    axes.plot(*line.T, color="white", linewidth=3.4)
    axes.plot(*line.T, color="black", linewidth=1.4)
    for number, (x, y) in enumerate(point, start=1):
        axes.text(
            x, y, str(number), ha="center", va="center", fontsize=8, color="black",
            bbox={"boxstyle": "circle,pad=0.22", "facecolor": "white", "linewidth": 0.8},
        )  # fmt: skip


def _draw_shares(axes: Axes, populations: Populations) -> None:
    place, length = populations.distance.numpy(), populations.length.numpy()
    per_length = 100 / length
    share = populations.share.numpy()
    low, high = (
        np.abs(end.numpy() - share) * per_length
        for end in (populations.share_low, populations.share_high)
    )
    axes.bar(place, share * per_length, width=0.92 * length, color=PALETTE[0], alpha=0.75)
    axes.errorbar(
        place, share * per_length, (low, high), fmt="none", ecolor=INK, elinewidth=1, capsize=2
    )
    axes.plot(
        place, populations.counted.numpy() * per_length, color=PALETTE[5], linewidth=1.2,
        linestyle=(0, (3, 2)), label="latents counted",
    )  # fmt: skip
    top = 1.12 * float(np.max(share * per_length + high))
    error = float((populations.share * populations.particle_error).sum())
    middle = float(place.mean())
    axes.errorbar(
        middle, 1.04 * top, xerr=error, color=INK, capsize=3, elinewidth=1.2, fmt="none",
    )  # fmt: skip
    axes.annotate(
        "± one particle", (middle + error, 1.04 * top), (5, 0), textcoords="offset points",
        va="center", fontsize=8.5,
    )  # fmt: skip
    axes.set(ylabel=f"% per {_one(populations)}", ylim=(0, 1.14 * top))


def _draw_energy(axes: Axes, populations: Populations) -> None:
    place, energy = populations.distance.numpy(), populations.free_energy_kt.numpy()
    low, high = populations.free_energy_low_kt.numpy(), populations.free_energy_high_kt.numpy()
    axes.fill_between(place, low, high, color=PALETTE[0], alpha=0.2, linewidth=0)
    axes.plot(place, energy, color=PALETTE[0], marker="o", markersize=4)
    highest = min(float(energy.max()) + _HEADROOM, _HIGHEST)
    axes.set(ylabel="free energy (kT)", ylim=(min(float(low.min()), 0) - 0.15, highest))


def _mark_states(axes: Axes, populations: Populations, state: list[int]) -> None:
    """Numbers of the states above the stretches that they are nearest to."""
    place = populations.distance.tolist()
    middle = {}
    for number in sorted(set(state)):
        inside = [place[k] for k, own in enumerate(state) if own == number]
        if populations.is_closed and state[0] == state[-1] == number:
            # It reaches across the seam: its part at the start stands for it.
            inside = place[: next(k for k, own in enumerate(state) if own != number)]
        middle[number] = sum(inside) / len(inside)
    above: Any = axes.secondary_xaxis("top")
    above.set_xticks(list(middle.values()))
    above.set_xticklabels([str(number + 1) for number in middle])
    above.set_xlabel("state")
    above.spines["top"].set_visible(False)
    above.tick_params(length=0)


def _one(populations: Populations) -> str:
    return "Å" if populations.unit == "Å" else "latent unit"
