import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.latent.flow import follow_density, largest_moving_group
from cryomix.report.figures import nice_length
from cryomix.report.motion_pictures import FRAMES, Film, frame_models, make_film, picture_volumes


def _open(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1])))


def _darkness(uri: str) -> np.ndarray:
    return 255.0 - np.asarray(_open(uri).convert("L"), dtype=float)


def _center_of_mass(darkness: np.ndarray) -> tuple[float, float]:
    """Right and up of the middle, as a fraction of the picture."""
    rows, columns = np.indices(darkness.shape)
    share = darkness / darkness.sum()
    x = (share * (columns + 0.5)).sum() / darkness.shape[1] - 0.5
    y = 0.5 - (share * (rows + 0.5)).sum() / darkness.shape[0]
    return float(x), float(y)


def _film(models: GaussianModel, closed: bool = False) -> Film:
    return make_film(models, largest_moving_group(models, follow_density(models)), closed)


@pytest.fixture
def models() -> GaussianModel:
    """A body at the origin, and a smaller one that goes from (30, -20, 0) to (30, 20, 0) Å."""
    start = torch.tensor([[0.0, 0, 0], [0, 0, 5], [30, -20, 0]])
    end = torch.tensor([[0.0, 0, 0], [0, 0, 5], [30, 20, 0]])
    return GaussianModel(torch.stack([start, end]), torch.ones(2, 3), torch.full((2, 3), 4.0))


def test_the_film_looks_along_the_axis_on_which_nothing_moves(models):
    assert _film(models).view == "z"
    deep = GaussianModel(models.center[..., [0, 2, 1]], models.amplitude, models.width)
    assert _film(deep).view == "y"


def test_the_moving_part_rises_in_the_film(models):
    first, last = _film(models).steps
    assert _center_of_mass(_darkness(last))[1] - _center_of_mass(_darkness(first))[1] > 0.1


def test_the_moving_part_alone_is_in_colour(models):
    picture = np.asarray(_open(_film(models).steps[0]), dtype=float)
    color = picture.max(axis=-1) - picture.min(axis=-1)
    x, y = _center_of_mass(color)
    assert x > 0.1
    assert y < -0.1


def test_the_film_has_its_frames(models):
    film = _film(models, closed=True)
    assert _open(film.moving).n_frames > FRAMES // 2
    assert film.moving.startswith("data:image/webp;base64,")
    assert film.still.startswith("data:image/png;base64,")


@pytest.mark.parametrize(("view", "right", "up"), [("z", 0, 1), ("y", 0, 2), ("x", 1, 2)])
def test_maps_are_shown_as_the_model_is(view, right, up):
    """X or y to the right, y or z upwards, whatever the order of the array's axes."""
    place = torch.tensor([[12.0, 20.0, -16.0]])
    model = GaussianModel(place, torch.ones(1), torch.full((1,), 4.0))
    picture = picture_volumes([render_volume(model, 32, 4.0)], view)[0]
    x, y = _center_of_mass(_darkness(picture))
    assert x == pytest.approx(float(place[0, right]) / 128, abs=0.03)
    assert y == pytest.approx(float(place[0, up]) / 128, abs=0.03)


def test_a_map_is_cut_to_the_frame_of_the_film(models):
    """The frame reaches beyond the box; the cut is still centred on the frame's middle."""
    frame = frame_models(models)
    picture = picture_volumes([render_volume(models[0], 40, 2.0)], "z", frame)[0]
    body = _darkness(picture)
    x, y = _center_of_mass(np.where(body > 0.6 * body.max(), body, 0))
    assert x == pytest.approx(-frame.middle[0] / (2 * frame.reach), abs=0.05)
    assert y == pytest.approx(-frame.middle[1] / (2 * frame.reach), abs=0.05)


@pytest.mark.parametrize(
    ("length", "nice"), [(37.0, 20), (5.0, 5), (0.3, 0.2), (199.0, 100), (1.0, 1)]
)
def test_scale_bars_have_round_lengths(length, nice):
    assert nice_length(length) == pytest.approx(nice)
