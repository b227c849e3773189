import io
import math

import numpy as np
import pytest
import torch
from matplotlib.quiver import Quiver
from PIL import Image

from cryomix.imaging.gaussians import GaussianModel
from cryomix.report.figures import nice_length, to_file
from cryomix.report.motion_arrows import Arrows, draw_arrows, frame_arrows, gather_arrows

VIEWS = [("z", 0, 1), ("y", 0, 2), ("x", 1, 2)]


@pytest.fixture
def arrows() -> Arrows:
    start = torch.tensor([[0.0, 0, 0], [20, -10, 5], [-15, 8, 30]]).double()
    return Arrows(start, torch.tensor([[3.0, 4, 0], [0, 0, -6], [10, -2, 1]]).double())


@pytest.fixture
def body(arrows) -> GaussianModel:
    return GaussianModel(arrows.start.float(), torch.ones(3), torch.full((3,), 3.0))


@pytest.mark.parametrize("scale", [1.0, 3.0])
@pytest.mark.parametrize(("panel", "view"), list(enumerate(VIEWS)))
def test_arrows_start_and_end_where_they_must(arrows, body, scale, panel, view):
    name, right, up = view
    axes = draw_arrows(body, arrows, scale).axes[panel]
    assert axes.get_title() == f"along {name}"
    (drawn,) = (each for each in axes.collections if isinstance(each, Quiver))
    assert (drawn.angles, drawn.scale_units, drawn.scale) == ("xy", "xy", 1)
    tail = np.asarray(drawn.get_offsets())
    tip = tail + np.stack([drawn.U, drawn.V], axis=1)
    expected_tail = arrows.start[:, [right, up]].numpy()
    expected_tip = expected_tail + scale * arrows.displacement[:, [right, up]].numpy()
    order = [np.abs(expected_tail - one).sum(axis=1).argmin() for one in tail]
    assert sorted(order) == [0, 1, 2]
    np.testing.assert_allclose(tip, expected_tip[order], atol=1e-9)
    # The colour is the displacement in three dimensions, whatever the scale.
    length = arrows.displacement.norm(dim=1).numpy()[order]
    np.testing.assert_allclose(drawn.get_array(), length)


def test_the_nearest_arrow_is_drawn_last(arrows, body):
    along_z, along_y, along_x = (
        np.asarray(next(e for e in axes.collections if isinstance(e, Quiver)).get_offsets())
        for axes in draw_arrows(body, arrows).axes[:3]
    )
    assert along_z[-1].tolist() == [-15, 8]  # the largest z
    assert along_y[-1].tolist() == [20, 5]  # the least y, with z up and x to the right
    assert along_x[-1].tolist() == [-10, 5]  # the largest x


def test_tips_of_long_arrows_are_in_the_frame(arrows, body):
    frame = frame_arrows(body, arrows, 8.0)
    ends = torch.cat([arrows.start, arrows.start + 8 * arrows.displacement])
    assert bool(((ends - torch.tensor(frame.middle)).abs() <= frame.reach).all())
    assert frame_arrows(body, arrows, 1.0).reach < frame.reach


def test_the_figure_says_what_arrows_mean(arrows, body):
    text = to_file(draw_arrows(body, arrows, 3.0), "svg").decode()
    bar = f"{nice_length(0.5 * frame_arrows(body, arrows, 3.0).reach):g} Å"
    for part in ("displacement (Å)", "arrows drawn 3 times as long", bar, "xmlns="):
        assert part in text
    assert "times as long" not in to_file(draw_arrows(body, arrows), "svg").decode()
    picture = Image.open(io.BytesIO(to_file(draw_arrows(body, arrows), "png"))).convert("RGB")
    assert picture.width > 2000
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_many_gaussians_that_turn_become_few_arrows_that_turn_as_much():
    """A rotation is linear, so that means of starts go to means of ends."""
    generator = torch.Generator().manual_seed(0)
    start = 20 * torch.randn(2000, 3, generator=generator)
    mass = 0.5 + torch.rand(2000, generator=generator)
    angle = math.radians(40)
    turn = torch.tensor(
        [[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]]
    )
    found = gather_arrows(start, start @ turn.mT - start, mass, most=60)
    assert 30 < len(found) <= 60
    moved = found.start @ turn.mT.double()
    torch.testing.assert_close(found.start + found.displacement, moved, atol=1e-3, rtol=0)


def test_few_gaussians_keep_their_own_arrows_and_those_that_stay_have_none():
    start = torch.arange(30.0).reshape(10, 3)
    displacement = torch.zeros(10, 3)
    displacement[:4, 2] = torch.tensor([5.0, -6, 7, 8])
    displacement[9] = 100
    mass = torch.ones(10)
    mass[9] = 1e-4  # next to nothing, whatever it does
    found = gather_arrows(start, displacement, mass)
    torch.testing.assert_close(found.start, start[:4].double())
    torch.testing.assert_close(found.displacement, displacement[:4].double())


def test_nothing_that_moves_has_a_figure_all_the_same(body):
    still = gather_arrows(body.center, torch.zeros(3, 3), torch.ones(3))
    assert len(still) == 3
    assert draw_arrows(body, still).axes
