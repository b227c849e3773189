"""The report: one self-contained page with all that was found."""

import re
from dataclasses import dataclass
from importlib.resources import files

import torch
from jinja2 import Environment, FunctionLoader, StrictUndefined, Template, select_autoescape
from markupsafe import Markup, escape

from cryomix.report.confidence import assess
from cryomix.report.content import Curve, RebuiltMap, ReportContent
from cryomix.report.domains import summarize_domains
from cryomix.report.figures import (
    cluster_color,
    draw_axes_spread,
    draw_correlations,
    draw_history,
    draw_latent_map,
)
from cryomix.report.findings import (
    PathMotion,
    describe_motion,
    find_motion,
    list_key_numbers,
    list_limits,
    summarize,
    tell_headline,
    warn_of_nothing,
)
from cryomix.report.groups import summarize_groups
from cryomix.report.motion_pictures import (
    Film,
    Frame,
    draw_flow,
    frame_models,
    make_film,
    picture_volumes,
)
from cryomix.report.movable_model import encode_model
from cryomix.report.population_figures import draw_density, draw_populations
from cryomix.report.populations import judge_populations, summarize_populations
from cryomix.report.recovery import list_scores

_TEMPLATE = "page.html.jinja"
_SHOWN_CURVES = 8


@dataclass(frozen=True, slots=True)
class _Figure:
    drawing: Markup
    title: str
    caption: str


@dataclass(frozen=True, slots=True)
class _ClusterRow:
    number: int
    color: str
    particles: int
    share: str
    group: int
    center: str
    resolution: str
    picture: str


@dataclass(frozen=True, slots=True)
class _PathSection:
    name: str
    words: str
    ways: Markup
    film: Film
    model: Markup
    captions: tuple[str, ...]
    map_pictures: tuple[str, ...]


def build_page(content: ReportContent) -> str:
    """One HTML document without any outside resource: styles and pictures are inside."""
    motions = [find_motion(path) for path in content.paths]
    parted = content.clusters is not None and content.clusters.groups > 1
    whose = "the particles of the largest group" if parted else "the particles"
    return load_template(_TEMPLATE).render(
        content=content,
        key_numbers=list_key_numbers(content, motions),
        headline=tell_headline(content, motions),
        findings=[
            *warn_of_nothing(content),
            *summarize_groups(content),
            *summarize(content, motions),
            *summarize_domains(content.domains),
            *summarize_populations(content.populations, whose),
        ],
        confidence=assess(content),
        limits=list_limits(content),
        whose=whose,
        population_figures=_draw_populations(content),
        population_findings=(
            [] if content.populations is None else judge_populations(content.populations)
        ),
        latent_figures=_draw_latent(content),
        cluster_rows=_list_clusters(content),
        paths=[_show_path(motion, number) for number, motion in enumerate(motions, start=1)],
        map_figures=_draw_maps(content),
        training_figures=_draw_training(content),
        scores=list_scores(content.scores),
    )


def load_template(name: str) -> Template:
    """A page of this folder; what it includes lies beside it."""
    folder = files("cryomix.report")
    environment = Environment(
        loader=FunctionLoader(lambda part: folder.joinpath(part).read_text(encoding="utf-8")),
        autoescape=select_autoescape(("jinja",), default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["bound"] = _bind_units
    return environment.get_template(name)


def _bind_units(text: str) -> Markup:
    """No line break between a number and its unit; what stands between backticks as code."""
    bound = text.replace(" Å", "\N{NO-BREAK SPACE}Å").replace(" %", "\N{NO-BREAK SPACE}%")
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(bound))))


def _draw_latent(content: ReportContent) -> list[_Figure]:
    label = content.clusters.label if content.clusters is not None else None
    trajectory = content.paths[0].trajectory if content.paths else None
    figures = []
    if content.pca is not None:
        caption = "Each dot is a particle, in the plane of the two axes of largest spread"
        if content.pca.point.shape[1] == 1:
            caption = "Particles along the only latent axis"
        if label is not None:
            caption += "; numbers and colours are clusters"
        if trajectory is not None and content.pca.point.shape[1] > 1:
            caption += "; the line is the first path above"
        drawing = draw_latent_map(content.pca, label, trajectory)
        figures.append(_Figure(Markup(drawing), "Principal axes", caption + "."))
    # With one latent there is nothing to lay out: neighbours lie on the axis already.
    if content.umap is not None and content.pca is not None and content.pca.point.shape[1] > 1:
        caption = "The same particles, arranged so that neighbours stay neighbours."
        drawing = draw_latent_map(content.umap, label)
        figures.append(_Figure(Markup(drawing), "UMAP", caption))
    if content.pca is not None and content.pca.explained_variance is not None:
        std = content.latent_map.std if content.latent_map is not None else None
        caption = "How far particles spread along each axis"
        if std is not None:
            caption += ", and how uncertain the place of one particle is. Axes on which the two "
            caption += "are alike hold mostly noise"
        drawing = draw_axes_spread(content.pca, std)
        figures.append(_Figure(Markup(drawing), "Spread and uncertainty", caption + "."))
    return figures


def _draw_populations(content: ReportContent) -> list[_Figure]:
    figures = []
    if content.populations is not None:
        caption = (
            "Bars: particles in each stretch, with 95 % intervals; dashes: the same by counting "
            "latents, blurred by their errors. Below, the free energy, −ln of the bars, with 95 % "
            "intervals; where they leave the frame nothing but a lower limit is known."
        )
        drawing = draw_populations(content.populations)
        figures.append(_Figure(Markup(drawing), "Population and free energy", caption))
    if content.density is not None and content.pca is not None:
        trajectory = content.paths[0].trajectory if content.paths else None
        caption = (
            "Density of the particles in the plane of the two axes of largest spread, without the "
            "blur of their errors; inside the lines are 50 and 90 % of them"
        )
        if trajectory is not None:
            caption += ". Numbers are the states above"
        closed = bool(content.paths) and content.paths[0].is_closed
        drawing = draw_density(content.density, content.pca, trajectory, closed)
        figures.append(_Figure(Markup(drawing), "Density", caption + "."))
    return figures


def _list_clusters(content: ReportContent) -> list[_ClusterRow]:
    clusters = content.clusters
    if clusters is None:
        return []
    frame = frame_models(content.paths[0].models) if content.paths else None
    pictures = _pictures(content.cluster_maps, len(clusters), frame=frame)
    rows = []
    for number, size in enumerate(clusters.size.tolist()):
        rebuilt = content.cluster_maps[number] if number < len(content.cluster_maps) else None
        known = rebuilt is not None and rebuilt.resolution is not None
        inside = clusters.group[clusters.label == number]
        rows.append(
            _ClusterRow(
                number=number + 1,
                color=cluster_color(number),
                particles=size,
                share=f"{100 * size / max(len(clusters.label), 1):.1f} %",
                group=int(torch.mode(inside).values) + 1 if len(inside) else 0,
                center=", ".join(_signed(value) for value in clusters.center[number].tolist()),
                resolution=f"{rebuilt.resolution:.1f} Å" if known and rebuilt else "–",
                picture=pictures[number],
            )
        )
    return rows


def _signed(value: float) -> str:
    """Two digits, with a true minus sign and none before zero."""
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def _show_path(motion: PathMotion, number: int) -> _PathSection:
    path = motion.path
    film = make_film(path.models, motion.group, path.is_closed)
    frame = frame_models(path.models)
    steps = len(path.models.center)
    captions = []
    for step in range(steps):
        rebuilt = path.maps[step] if step < len(path.maps) else None
        captions.append(_caption(rebuilt) if rebuilt else "")
    pictures = _pictures(path.maps, steps, film.view, frame)
    return _PathSection(
        name=path.name,
        words=describe_motion(motion),
        ways=Markup(draw_flow(motion.flow, frame, number)),
        film=film,
        model=encode_model(path.models, motion.group.share),
        captions=tuple(captions),
        map_pictures=tuple(pictures) if any(pictures) else (),
    )


def _caption(rebuilt: RebuiltMap) -> str:
    """How fine a map is, and how many particles it is worth from coarse to fine shells."""
    count = f"{rebuilt.particles:,}"
    if rebuilt.finest_particles is not None:
        count += f" to {rebuilt.finest_particles:,}"
    return f"{rebuilt.resolution:.1f} Å; {count}" if rebuilt.resolution else count


def _pictures(
    maps: tuple[RebuiltMap, ...], count: int, view: str = "z", frame: Frame | None = None
) -> list[str]:
    """A picture of each map on a common scale; empty text where there is no volume."""
    volumes = {number: m.volume for number, m in enumerate(maps[:count]) if m.volume is not None}
    shown = picture_volumes(list(volumes.values()), view, frame) if volumes else []
    by_number = dict(zip(volumes, shown, strict=True))
    return [by_number.get(number, "") for number in range(count)]


def _draw_maps(content: ReportContent) -> list[_Figure]:
    figures = []
    groups = [("Maps of the clusters", content.cluster_maps)]
    for number, path in enumerate(content.paths, start=1):
        groups.append((f"Maps of path {number}: {path.name}", path.maps))
    for title, maps in groups:
        curves: list[tuple[str, Curve]] = [(m.name, m.fsc) for m in maps if m.fsc is not None]
        if curves:
            drawing = draw_correlations(title, curves[:_SHOWN_CURVES], "half-map FSC", 0.143)
            caption = "Agreement of maps from two halves of the particles; dashes are at 0.143."
            figures.append(_Figure(Markup(drawing), title, caption))
    return figures


def _draw_training(content: ReportContent) -> list[_Figure]:
    figures = []
    if content.history:
        drawing = draw_history(content.history, content.score_unit)
        caption = "Gain in agreement over the neutral model; the dot is the state that was kept."
        figures.append(_Figure(Markup(drawing), "Training", caption))
    if content.neutral_frc is not None:
        limit = content.facts.resolution if content.facts is not None else None
        drawing = draw_correlations(
            "Neutral model", [("neutral", content.neutral_frc)], "FRC with the map", 0.95, limit
        )
        caption = "Agreement of the neutral Gaussian model with the consensus map; dashes at 0.95"
        caption += "." if limit is None else f", dots at {limit:.1f} Å."
        figures.append(_Figure(Markup(drawing), "Neutral model", caption))
    return figures
