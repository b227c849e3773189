"""Frames of a movie along a path: three views side by side, a scale, and the place on it."""

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume
from cryomix.report.figures import nice_length
from cryomix.report.motion_pictures import (
    AXES,
    MOVER,
    VIEWS,
    Frame,
    between,
    color_parts,
    frame_models,
    positions_along,
    project_parts,
    project_volumes,
)

PANEL = 320  # pixels
_STRIP = 44  # below the panels, even as the panels are: video needs it
_TEXT, _FAINT = (40, 40, 40), (190, 190, 190)

Pictures = list[UInt8[np.ndarray, "rows columns 3"]]


def draw_model_frames(
    models: GaussianModel,
    moving: Float[np.ndarray, "steps gaussians"],
    frames: int,
    *,
    is_closed: bool,
) -> Pictures:
    """Projections of the density between the steps of a path: round it, or there and back.

    Parameters
    ----------
    models
        One per step.
    moving
        Share of each Gaussian, 0 to 1, that is in colour at each step.
    frames
        How many.
    is_closed
        Whether the first step comes after the last.
    """
    center, width = models.center.double().numpy(), models.width.double().numpy()
    mass = models.amplitude.double().numpy() * width**3
    frame = frame_models(models)
    steps = len(center)
    last = steps - 1

    def density(position: float) -> list[Float[np.ndarray, "2 pixels pixels"]]:
        place, weight, size, share = (
            between(values, position) for values in (center, mass, width, moving)
        )
        return [project_parts(place, weight, size, share, view, frame, PANEL) for view in VIEWS]

    seen = [density(float(step)) for step in range(steps)]
    darkest = [
        max(float(np.quantile(step[view].sum(axis=0), 0.998)) for step in seen)
        for view in range(len(VIEWS))
    ]
    pictures = []
    for position in positions_along(last, frames, is_closed):
        panels = [
            color_parts(parts, most) for parts, most in zip(density(position), darkest, strict=True)
        ]
        pictures.append(_compose(panels, frame.reach, position, steps, is_closed))
    return pictures


def draw_map_frames(volumes: list[Volume], frame: Frame, *, is_closed: bool) -> Pictures:
    """Projections of maps, one frame each, with nothing between them: round, or there and back."""
    views = [project_volumes(volumes, AXES[view[0]], frame) for view in VIEWS]
    steps = len(volumes)
    order = list(range(steps)) + ([] if is_closed else list(range(steps - 2, 0, -1)))
    pictures = []
    for step in order:
        panels = [np.asarray(_enlarge(view[step]).convert("RGB")) for view in views]
        pictures.append(_compose(panels, frame.reach, float(step), steps, is_closed))
    return pictures


def _enlarge(picture: UInt8[np.ndarray, "rows columns"]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(picture)).resize(
        (PANEL, PANEL), Image.Resampling.BICUBIC
    )


def _compose(
    panels: list[UInt8[np.ndarray, "panel panel 3"]],
    reach: float,
    position: float,
    steps: int,
    is_closed: bool,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The panels, each 2 `reach` Å wide, over a strip that says how large and where."""
    image = Image.new("RGB", (PANEL * len(panels), PANEL + _STRIP), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(findfont("DejaVu Sans"), 14)  # Pillow's own has no Å
    for number, (panel, view) in enumerate(zip(panels, VIEWS, strict=True)):
        image.paste(Image.fromarray(panel), (number * PANEL, 0))
        draw.text((number * PANEL + 8, 6), f"along {AXES[view[0]]}", _TEXT, font)

    length = nice_length(0.5 * reach)
    left, middle, bar = 12, PANEL + _STRIP // 2, round(length / (2 * reach) * PANEL)
    draw.rectangle((left, middle - 2, left + bar, middle + 1), _TEXT)
    draw.text((left + bar + 8, middle), f"{length:g} Å", _TEXT, font, anchor="lm")

    start, end = PANEL, image.width - 24
    step = (end - start) / (steps if is_closed else steps - 1)
    draw.line((start, middle, end, middle), _FAINT, 2)
    for number in range(steps):
        x = start + number * step
        draw.line((x, middle - 5, x, middle + 5), _FAINT, 2)
    x = start + position * step
    mover = tuple(round(255 * part) for part in MOVER)
    draw.ellipse((x - 6, middle - 6, x + 6, middle + 6), mover)
    return np.asarray(image)
