"""The automatic mask holds the molecule and not the noise around it."""

import torch

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.masking import apply_mask, soft_mask
from cryomix.imaging.volume import Volume


def test_mask_holds_the_molecule_and_not_the_noise(model):
    wide = GaussianModel(model.center, model.amplitude, model.width * 2)
    density = render_volume(wide, 40, 4.0).density.float()
    noise = 0.02 * torch.randn(density.shape, generator=torch.Generator().manual_seed(0))
    mask = soft_mask(Volume(density + noise, 4.0), 12.0).density
    assert mask[density > 0.1 * density.max()].min() > 0.99
    assert mask[:4].max() == 0
    assert (mask > 0.5).float().mean() < 0.2
    assert float(mask.min()) == 0
    assert float(mask.max()) == 1


def test_masked_map_is_flat_outside(model):
    density = render_volume(model, 40, 4.0).density.float() + 3.0
    mask = soft_mask(Volume(density - 3.0, 4.0), 12.0)
    masked = apply_mask(Volume(density, 4.0), mask).density
    assert masked[mask.density == 0].abs().max() == 0
    assert (
        masked.max() == torch.as_tensor(density.max() - 3.0).clamp_min(0).item()
        or abs(float(masked.max() - (density.max() - 3.0))) < 0.05
    )
