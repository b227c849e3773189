"""The page on what two halves of the particles have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from cryomix.evaluation.reproducibility import (
    Agreement,
    Dimension,
    MatchedClass,
    Reading,
    Reproducibility,
    matching_direction,
)
from cryomix.imaging.volume import Volume
from cryomix.report.content import Curve
from cryomix.report.figures import DOTS_AT_MOST, INK, PALETTE, STYLE, draw_correlations, to_svg
from cryomix.report.findings import KeyNumber
from cryomix.report.motion_pictures import picture_volumes
from cryomix.report.page import load_template
from cryomix.report.verdict import judge, list_limits

_TEMPLATE = "reproducibility.html.jinja"
_HALVES = ("odd", "even")
_ABOVE: Any = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3, "borderaxespad": 0.2}


@dataclass(frozen=True, slots=True)
class ClassPair:
    """A class of the odd half and one of the even half, counted from 0.

    Attributes
    ----------
    particles
        In each.
    alike
        Correlation of what their maps differ by from the mean of all classes.
    fsc
        Of their unfiltered maps.
    maps
        To be shown.
    """

    odd: int
    even: int
    particles: tuple[int, int]
    alike: float
    fsc: Curve
    maps: tuple[Volume, Volume]


@dataclass(frozen=True, slots=True)
class _Figure:
    drawing: Markup
    title: str
    caption: str


def build_comparison(
    found: Reproducibility,
    pairs: Sequence[ClassPair],
    readings: tuple[Reading, Reading],
    *,
    title: str,
    subtitle: str,
    command: str,
    created: str,
) -> str:
    """One HTML document without outside resources.

    Parameters
    ----------
    found
        What was compared.
    pairs
        Of its classes, in the same order.
    readings
        What the odd and the even half's model say of the same particles.
    title, subtitle, command, created
        Head and foot of the page.
    """
    return load_template(_TEMPLATE).render(
        title=title,
        subtitle=subtitle,
        command=command,
        created=created,
        key_numbers=_key_numbers(found),
        verdict=judge(found),
        limits=list_limits(),
        dimension_rows=_dimension_rows(found),
        dimension_figures=_draw_dimensions(found, readings),
        class_rows=_class_rows(found, pairs),
        class_figures=_draw_classes(pairs),
    )


def _key_numbers(found: Reproducibility) -> list[KeyNumber]:
    dimensions = min(len(found.reproducible_dimensions(half)) for half in _HALVES)
    gain = min(gain.mean for gain in found.gain.values())
    return [
        KeyNumber(str(dimensions), "reproducible dimensions"),
        KeyNumber(str(len(found.reproducible_classes)), "reproducible classes"),
        KeyNumber(" and ".join(str(found.groups[half]) for half in _HALVES), "separate groups"),
        KeyNumber(f"{_number(gain)} nats", "gained on the other half's particles"),
    ]


def _dimension_rows(found: Reproducibility) -> list[Mapping[str, str]]:
    rows = []
    for half in _HALVES:
        good = found.reproducible_dimensions(half)
        for each in found.dimensions[half]:
            rows.append(_dimension_row(half, each, each in good))
    return rows


def _dimension_row(half: str, each: Dimension, is_good: bool) -> Mapping[str, str]:
    agreement = each.agreement
    return {
        "half": half,
        "axis": str(each.axis),
        "spread": f"{100 * each.spread:.0f} %",
        "within": _with_chance(agreement.within, agreement.within_chance),
        "between": _with_chance(agreement.between, agreement.between_chance),
        "here": f"{each.displacement:.1f} Å",
        "there": f"{each.other_displacement:.1f} Å" if is_good else "–",
        "alike": _number(each.alike) if is_good else "–",
        "verdict": "reproducible" if is_good else "not",
    }


def _class_rows(found: Reproducibility, pairs: Sequence[ClassPair]) -> list[Mapping[str, str]]:
    pictures = picture_volumes([volume for pair in pairs for volume in pair.maps])
    good = found.reproducible_classes
    return [
        _class_row(each, (pictures[2 * row], pictures[2 * row + 1]), each in good)
        for row, each in enumerate(found.classes)
    ]


def _class_row(each: MatchedClass, pictures: tuple[str, str], is_good: bool) -> Mapping[str, str]:
    weaker: Agreement = min(
        (each.odd_agreement, each.even_agreement), key=lambda agreement: agreement.between
    )
    return {
        "odd": str(each.odd),
        "even": str(each.even),
        "odd_picture": pictures[0],
        "even_picture": pictures[1],
        "particles": f"{each.odd_particles:,} and {each.even_particles:,}",
        "half": _length(each.resolution_half),
        "seventh": _length(each.resolution),
        "alike": _number(each.alike),
        "membership": _with_chance(weaker.between, weaker.between_chance),
        "verdict": "reproducible" if is_good else "not",
    }


def _draw_dimensions(found: Reproducibility, readings: tuple[Reading, Reading]) -> list[_Figure]:
    caption = (
        "Correlation of each axis with itself in the other half's particles, and with the other "
        "half's model; marks are the largest of 200 permutations."
    )
    figures = [_Figure(Markup(draw_agreement(found)), "Beyond chance or not", caption)]
    axis = int(np.argmax([each.agreement.between for each in found.dimensions["odd"]]))
    caption = (
        f"Each dot is a particle: its place along axis {axis + 1} of the odd half, from every "
        "second Fourier coefficient, and along the matching direction of the even half, from the "
        "others."
    )
    drawing = draw_places(*readings, axis)
    figures.append(_Figure(Markup(drawing), "The same particles in both models", caption))
    return figures


def _draw_classes(pairs: Sequence[ClassPair]) -> list[_Figure]:
    curves = [(f"{pair.odd + 1} and {pair.even + 1}", pair.fsc) for pair in pairs[:8]]
    title = "Maps of the paired classes"
    drawing = draw_correlations(title, curves, "FSC between halves", 0.5)
    caption = "Numbers are those of the odd and the even half's class; dashes are at 0.5."
    return [_Figure(Markup(drawing), title, caption)]


def draw_agreement(found: Reproducibility) -> str:
    """Correlations of the axes of both halves, with what chance reaches."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        names, place = [], 0
        for half in _HALVES:
            for each in found.dimensions[half]:
                agreement = each.agreement
                for offset, value, chance, color in (
                    (-0.2, agreement.within, agreement.within_chance, PALETTE[4]),
                    (0.2, agreement.between, agreement.between_chance, PALETTE[0]),
                ):
                    axes.bar(place + offset, value, width=0.38, color=color)
                    axes.hlines(
                        chance, place + offset - 0.19, place + offset + 0.19, color=PALETTE[5]
                    )
                names.append(f"{half} {each.axis}")
                place += 1
        axes.set_xticks(range(place), names, rotation=40, ha="right")
        axes.axhline(0, color=INK, linewidth=0.6)
        axes.set(ylabel="correlation", ylim=(min(axes.get_ylim()[0], -0.1), 1.02))
        handles = [mpl.patches.Patch(color=PALETTE[n]) for n in (4, 0, 5)]
        axes.legend(handles, ["with itself", "with the other half", "chance"], **_ABOVE)
        return to_svg(figure, "Agreement of the latent axes")


def draw_places(odd: Reading, even: Reading, axis: int) -> str:
    """Particles along one axis of the odd half's latents, and along its match in the even half."""
    direction = matching_direction(odd, even, axis)
    direction = direction / max(float(np.linalg.norm(direction)), 1e-12)
    x, y = odd.first[:DOTS_AT_MOST, axis], (even.second @ direction)[:DOTS_AT_MOST]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.4), layout="constrained")
        axes = figure.add_subplot()
        size = float(np.clip(12_000 / max(len(x), 1), 1.5, 16))
        axes.scatter(x, y, s=size, color=PALETTE[0], alpha=0.5, linewidths=0, rasterized=True)
        axes.set(xlabel=f"axis {axis + 1} of the odd half", ylabel="the same in the even half")
        return to_svg(figure, "The same particles in both models")


def _with_chance(value: float, chance: float) -> str:
    return f"{_number(value)} ({chance:.2f})"


def _length(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} Å"


def _number(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")
