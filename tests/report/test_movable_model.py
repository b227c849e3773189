"""The numbers and the script of the drawing that a reader turns."""

import json
import re
from importlib.resources import files

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel
from cryomix.report.movable_model import GAUSSIANS_AT_MOST, STEPS_AT_MOST, encode_model
from cryomix.report.page import build_page


def _models(steps: int, gaussians: int) -> GaussianModel:
    generator = torch.Generator().manual_seed(2)
    center = 30 * torch.randn(1, gaussians, 3, generator=generator)
    center = center + torch.linspace(0, 20, steps)[:, None, None]
    amplitude = torch.linspace(0.5, 2, gaussians).expand(steps, -1)
    return GaussianModel(center, amplitude, torch.full((steps, gaussians), 3.0))


def test_places_come_back_to_a_tenth_of_an_angstrom():
    models = _models(5, 40)
    numbers = json.loads(encode_model(models, torch.ones(5, 40)))
    center = torch.tensor(numbers["center"]).reshape(5, 40, 3) / 10
    difference = center - models.center
    middle = difference.mean(dim=(0, 1))
    assert (difference - middle).abs().max() < 0.11
    assert center.abs().max() <= numbers["reach"]
    mass = torch.tensor(numbers["mass"]).reshape(5, 40)
    assert mass[0, 0] == 25  # a quarter of the heaviest
    assert mass.max() == 100
    assert numbers["moving"] == [100] * 200
    assert numbers["left_out"] == 0


def test_large_models_are_cut_to_the_heaviest_and_say_so():
    numbers = json.loads(encode_model(_models(60, 5000), torch.zeros(60, 5000)))
    assert numbers["gaussians"] == GAUSSIANS_AT_MOST
    assert numbers["steps"] == STEPS_AT_MOST
    assert min(numbers["mass"]) >= 80  # the light ones are left out
    assert 50 < numbers["left_out"] < 80


def test_the_page_holds_the_drawing_and_what_moves_it(content):
    page = build_page(content)
    assert page.count('<figure class="model"') == len(content.paths)
    assert re.search(r'<canvas [^>]*tabindex="0"', page)
    assert '<input type="range"' in page
    numbers = json.loads(re.findall(r'application/json">(.*?)</script>', page)[0])
    assert numbers["gaussians"] == len(content.paths[0].models)


def test_the_script_is_small_and_asks_for_nothing():
    script = files("cryomix.report").joinpath("movable_model.js").read_text(encoding="utf-8")
    assert len(script.encode()) < 60_000
    for word in ("fetch", "XMLHttpRequest", "import", "http", "WebSocket", "innerHTML", "eval"):
        assert word not in script.replace("important", "")


@pytest.mark.parametrize("steps", [1, 2])
def test_short_paths(steps):
    numbers = json.loads(encode_model(_models(steps, 3), torch.zeros(steps, 3)))
    assert numbers["steps"] == steps
    assert len(numbers["center"]) == 9 * steps
