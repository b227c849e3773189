"""The picture of a whole job is a picture."""

import io

import numpy as np
import torch
from PIL import Image

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.report.overview import draw_overview


def test_the_overview_shows_all_four_parts():
    generator = torch.Generator().manual_seed(0)
    center = 20 * torch.randn(3, 12, 3, generator=generator)
    models = GaussianModel(center, torch.full((3, 12), 0.5), torch.full((3, 12), 4.0))
    volumes = [render_volume(models[step], 24, 6.0) for step in range(3)]
    truth = torch.rand(200, generator=generator)
    images = torch.randn(9, 24, 24, generator=generator)
    picture = Image.open(io.BytesIO(draw_overview(images, 2 * truth, truth, models, volumes)))
    assert picture.width > 1200
    dark = torch.from_numpy(np.array(picture.convert("L"))) < 200
    for part in dark.tensor_split(4, dim=1):
        assert part.float().mean() > 0.005
