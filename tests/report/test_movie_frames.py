import numpy as np
import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.report.figures import nice_length
from cryomix.report.motion_pictures import frame_models
from cryomix.report.movie_frames import PANEL, draw_map_frames, draw_model_frames


@pytest.fixture
def models() -> GaussianModel:
    """A body at the origin, and a smaller one that goes up along y from -20 to 20 Å in 3 steps."""
    body = torch.tensor([[0.0, 0, 0], [0, 0, 5]])
    center = [torch.cat([body, torch.tensor([[30.0, y, 0]])]) for y in (-20.0, 0.0, 20.0)]
    return GaussianModel(torch.stack(center), torch.ones(3, 3), torch.full((3, 3), 4.0))


MOVING = np.array([[0.0, 0.0, 1.0]] * 3)


def _height(frame: np.ndarray, panel: int) -> float:
    """Å of what is in colour in one panel, from the middle upwards, in units of the panel."""
    pixels = frame[24:PANEL, panel * PANEL : (panel + 1) * PANEL].astype(float)
    color = pixels.max(axis=2) - pixels.min(axis=2)
    return (
        0.5 - float((color.sum(axis=1) * (np.arange(24, PANEL) + 0.5)).sum() / color.sum()) / PANEL
    )


def _marker(frame: np.ndarray) -> float:
    strip = frame[PANEL:].astype(float)
    color = strip.max(axis=2) - strip.min(axis=2) > 60
    return float(np.flatnonzero(color.any(axis=0)).mean())


@pytest.mark.parametrize("is_closed", [False, True])
@pytest.mark.parametrize("frames", [7, 12])
def test_a_movie_has_the_frames_that_were_asked_for(models, frames, is_closed):
    pictures = draw_model_frames(models, MOVING, frames, is_closed=is_closed)
    assert len(pictures) == frames
    assert {picture.shape for picture in pictures} == {(PANEL + 44, 3 * PANEL, 3)}
    assert all(size % 2 == 0 for size in pictures[0].shape[:2])


def test_an_open_path_goes_there_and_back(models):
    pictures = draw_model_frames(models, MOVING, 8, is_closed=False)
    reach = frame_models(models).reach
    scale = 1 / (2 * reach)
    for panel, moved in ((0, 20.0), (1, 0.0)):  # along z one sees y go up; along y nothing does
        heights = [_height(picture, panel) for picture in pictures]
        assert heights[4] - heights[0] == pytest.approx(2 * moved * scale, abs=0.02)
        np.testing.assert_allclose(heights[1:4], heights[:4:-1], atol=1e-6)
    places = [_marker(picture) for picture in pictures]
    assert places[0] < places[1] < places[2] < places[3] < places[4]
    assert places[4] - places[0] == pytest.approx(2 * PANEL - 24, abs=1)


def test_a_closed_path_goes_on_from_the_last_step_to_the_first(models):
    pictures = draw_model_frames(models, MOVING, 6, is_closed=True)
    heights = [_height(picture, 0) for picture in pictures]
    # Steps at frames 0, 2 and 4; frame 5 is half way from the last back to the first.
    assert heights[0] < heights[2] < heights[4]
    assert heights[5] == pytest.approx((heights[0] + heights[4]) / 2, abs=0.02)
    places = [_marker(picture) for picture in pictures]
    assert np.diff(places) == pytest.approx((2 * PANEL - 24) / 6, abs=1)


def test_the_bar_is_as_long_as_it_says(models):
    reach = frame_models(models).reach
    strip = draw_model_frames(models, MOVING, 2, is_closed=False)[0][PANEL + 20 : PANEL + 23, :68]
    bar = int((strip.max(axis=2) < 60).all(axis=0).sum())
    assert bar == pytest.approx(nice_length(0.5 * reach) / (2 * reach) * PANEL, abs=2)


def test_maps_are_shown_one_by_one_in_the_order_of_the_path(models):
    volumes = [render_volume(models[step], 40, 2.5) for step in range(3)]
    there_and_back = draw_map_frames(volumes, frame_models(models), is_closed=False)
    assert len(there_and_back) == 4
    np.testing.assert_array_equal(there_and_back[1], there_and_back[3])
    round_it = draw_map_frames(volumes, frame_models(models), is_closed=True)
    assert len(round_it) == 3

    def darkest_row(picture: np.ndarray) -> int:
        right = 255 - picture[24:PANEL, PANEL * 3 // 4 : PANEL].astype(float).mean(axis=2)
        return int(right.sum(axis=1).argmax())

    rows = [darkest_row(picture) for picture in round_it]
    assert rows[0] > rows[1] > rows[2]  # row 0 is at the top
