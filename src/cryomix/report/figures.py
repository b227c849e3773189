"""Diagrams of a report, drawn as SVG that takes the page's own text colour."""

import io
import math
import re
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float, Int64
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from cryomix.latent.reduction import Embedding
from cryomix.latent.trajectory import Trajectory
from cryomix.report.content import Curve, EpochScore

# Okabe and Ito's colours, which people with any colour vision tell apart.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A900", "#7F7F7F",
)  # fmt: skip
INK = "#010203"  # replaced by the colour of the page's text
DOTS_AT_MOST = 20_000

STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "cryomix",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}


def cluster_color(cluster: int) -> str:
    """Colour of a cluster, the same in every figure."""
    return PALETTE[cluster % len(PALETTE)]


def draw_latent_map(
    embedding: Embedding,
    label: Int64[Tensor, "particles"] | None = None,
    path: Trajectory | None = None,
) -> str:
    """Particles in the plane of an embedding, coloured by cluster, with a path over them."""
    figure = map_latents(embedding, label, path)
    return to_svg(figure, f"Map of the latent space, {embedding.method}")


def map_latents(
    embedding: Embedding,
    label: Int64[Tensor, "particles"] | None = None,
    path: Trajectory | None = None,
) -> Figure:
    """The same as a figure."""
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure(4.6, 4.0)
        names = ("UMAP 1", "UMAP 2") if embedding.method == "umap" else ("axis 1", "axis 2")
        if embedding.point.shape[1] == 1:
            _draw_histogram(axes, embedding.point[:, 0].numpy(), label)
            axes.set(xlabel=names[0], ylabel="particles")
            if path is not None and embedding.basis is not None:
                steps = embedding.to_embedding(path.latent)[:, 0].numpy()
                axes.plot(steps, 0 * steps, "o-", color="black", markersize=4, clip_on=False)
        else:
            _draw_dots(axes, embedding.point[:, :2].numpy(), label)
            axes.set(xlabel=names[0], ylabel=names[1])
            axes.set_aspect("equal", adjustable="datalim")
            if path is not None and embedding.basis is not None:
                _draw_path(axes, embedding.to_embedding(path.latent)[:, :2].numpy())
        if embedding.method == "umap":
            axes.set(xticks=[], yticks=[])
        return figure


def draw_axes_spread(pca: Embedding, std: Float[Tensor, "particles latent"] | None) -> str:
    """Spread of the particles along each principal axis beside their typical uncertainty."""
    if pca.explained_variance is None or pca.basis is None:
        raise ValueError("the spread along axes needs principal components")
    spread = pca.explained_variance.sqrt().numpy()
    place = np.arange(1, len(spread) + 1)
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure(4.6, 2.9)
        axes.bar(place, spread, width=0.62, color=PALETTE[0], label="spread of particles")
        if std is not None:
            along = (std.double().square() @ pca.basis.square().mT).sqrt()
            low, middle, high = torch.quantile(
                along[:: -(-len(along) // 100_000)],
                torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64),
                dim=0,
            ).numpy()
            axes.errorbar(
                place, middle, (middle - low, high - middle), fmt="o", markersize=5,
                color=PALETTE[5], capsize=3, label="uncertainty of one particle (10–90 %)",
            )  # fmt: skip
        axes.set(xlabel="principal axis", ylabel="standard deviation", xticks=place)
        axes.set_ylim(0, None)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
        return to_svg(figure, "Spread along the principal axes")


def draw_history(history: tuple[EpochScore, ...], unit: str) -> str:
    """Scores of the training and of particles kept out of it, per epoch."""
    epoch = [row.epoch for row in history]
    held_out = [row.held_out for row in history]
    best = int(np.argmax(held_out))
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure(4.6, 2.9)
        axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
        training = [row.training for row in history]
        axes.plot(epoch, training, color=PALETTE[4], label="training", marker=".", markersize=4)
        axes.plot(epoch, held_out, color=PALETTE[5], label="kept out", marker=".", markersize=4)
        axes.plot(epoch[best], held_out[best], "o", color=PALETTE[5], markersize=7)
        axes.set(xlabel="epoch", ylabel=f"gain over neutral ({unit})" if unit else "gain")
        axes.xaxis.get_major_locator().set_params(integer=True)  # type: ignore[call-arg]
        axes.legend(loc="lower right")
        return to_svg(figure, "Training")


def draw_correlations(
    title: str,
    curves: list[tuple[str, Curve]],
    quantity: str,
    threshold: float,
    limit: float | None = None,
) -> str:
    """Correlation curves against resolution, with the threshold they are judged by."""
    with mpl.rc_context(STYLE):
        figure, axes = _new_figure(4.6, 2.9)
        for number, (name, curve) in enumerate(curves):
            shown = curve.frequency > 0
            axes.plot(
                curve.frequency[shown].numpy(), curve.correlation[shown].numpy(),
                color=cluster_color(number), label=name, linewidth=1.4,
            )  # fmt: skip
        axes.axhline(threshold, color=INK, linewidth=0.8, linestyle=(0, (4, 3)), alpha=0.7)
        if limit is not None:
            axes.axvline(1 / limit, color=INK, linewidth=0.8, linestyle=":", alpha=0.7)
        axes.axhline(0, color=INK, linewidth=0.5, alpha=0.4)
        axes.set(xlabel="resolution (Å)", ylabel=quantity, ylim=(-0.1, 1.04))
        axes.set_xlim(0, max(float(curve.frequency.max()) for _, curve in curves))
        _label_by_resolution(axes)
        if 1 < len(curves) <= 8:
            axes.legend(loc="upper right")
        return to_svg(figure, title)


def to_svg(figure: Figure, description: str) -> str:
    """The figure as an SVG element to stand inside a page: no document head, no outside names.

    `description` is what a screen reader says, and must be another for each figure of a page.
    """
    with mpl.rc_context(STYLE), io.StringIO() as file:
        figure.savefig(file, format="svg", dpi=170, bbox_inches="tight", pad_inches=0.04)
        text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace(INK, "currentColor")
    text = re.sub(r"font-family: [^;\"]*", "font-family: inherit", text)
    text = _with_own_names(text, description)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1).strip()


def to_file(figure: Figure, kind: Literal["png", "svg"]) -> bytes:
    """The figure as a picture that stands by itself, on white, 300 dots per inch."""
    with mpl.rc_context(STYLE), io.BytesIO() as file:
        date = {"Date": None} if kind == "svg" else None
        figure.savefig(
            file, format=kind, dpi=300, bbox_inches="tight", pad_inches=0.04, facecolor="white",
            metadata=date,
        )  # fmt: skip
        return file.getvalue()


def _with_own_names(text: str, description: str) -> str:
    """Names inside one drawing made different from those of all others on the page."""
    prefix = re.sub(r"\W+", "-", description.lower())
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    return text.replace("url(#", f"url(#{prefix}-")


def _new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _draw_dots(
    axes: Axes, point: Float[np.ndarray, "particles 2"], label: Int64[Tensor, "particles"] | None
) -> None:
    # In random order, so that no cluster hides another; the same order each time.
    shown = np.random.default_rng(0).permutation(len(point))[:DOTS_AT_MOST]
    size = float(np.clip(12_000 / max(len(shown), 1), 1.5, 16))
    color: list[str] | str = PALETTE[0]
    if label is not None:
        color = [cluster_color(cluster) for cluster in label[torch.from_numpy(shown)].tolist()]
    x, y = point[shown].T
    axes.scatter(x, y, s=size, c=color, alpha=0.6, linewidths=0, rasterized=True)
    if label is not None:
        for cluster in label.unique().tolist():
            x, y = np.median(point[label.numpy() == cluster], axis=0)
            axes.text(
                x, y, str(cluster + 1), ha="center", va="center", fontsize=9, color="white",
                fontweight="bold", bbox={
                    "boxstyle": "circle,pad=0.25", "facecolor": cluster_color(cluster),
                    "edgecolor": "white", "linewidth": 1,
                },
            )  # fmt: skip


def _draw_histogram(
    axes: Axes, place: Float[np.ndarray, "particles"], label: Int64[Tensor, "particles"] | None
) -> None:
    edges = np.histogram_bin_edges(place, bins=60).tolist()
    if label is None:
        axes.hist(place, bins=edges, color=PALETTE[0])
        return
    clusters = label.unique().tolist()
    parts = [place[label.numpy() == cluster] for cluster in clusters]
    colors = [cluster_color(cluster) for cluster in clusters]
    axes.hist(parts, bins=edges, stacked=True, color=colors, label=[str(c + 1) for c in clusters])
    # Above the bars: beside them it would hide some, and looking for a free place takes long.
    axes.legend(title="cluster", loc="lower left", bbox_to_anchor=(0, 1), ncols=8)


def _draw_path(axes: Axes, point: Float[np.ndarray, "steps 2"]) -> None:
    axes.plot(*point.T, color="white", linewidth=3.4)
    axes.plot(*point.T, color="black", linewidth=1.4, marker="o", markersize=4)
    axes.annotate(
        "", point[-1], point[-2],
        arrowprops={"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip


def _label_by_resolution(axes: Axes) -> None:
    highest = axes.get_xlim()[1]
    candidates = (100, 50, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3.5, 3, 2.5, 2)
    chosen: list[float] = []
    for resolution in candidates:
        crowded = chosen and 1 / resolution - 1 / chosen[-1] < 0.09 * highest
        if 1 / resolution <= highest and not crowded:
            chosen.append(resolution)
    axes.set_xticks([1 / resolution for resolution in chosen])
    axes.set_xticklabels([f"{resolution:g}" for resolution in chosen])


def nice_length(length: float) -> float:
    """The largest of 1, 2, 5, 10, 20, … that is not above `length`."""
    power = 10.0 ** math.floor(math.log10(max(length, 1e-6)))
    return max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9))
