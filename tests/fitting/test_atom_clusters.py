"""Clusters of atoms show what the atoms do, down to the resolution asked for."""

import pytest
import torch

from cryomix.errors import InputFileError, ResolutionError
from cryomix.fitting.atom_clusters import _cluster, fit_neutral_to_atoms
from cryomix.fitting.units import to_physical_units
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.imaging.correlation import ring_correlation
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.projection_reference import project_gaussians_reference
from cryomix.imaging.volume import Volume
from cryomix.options import NeutralOptions

QUICK = NeutralOptions(resolution=12.0, start_gaussians=24, steps=40, views=60, batch_size=16)
BOX, PIXEL = 32, 4.0


def quiet(_):
    pass


@pytest.fixture(scope="module")
def atoms() -> GaussianModel:
    """A chain of 600 atoms that turns as it likes."""
    generator = torch.Generator().manual_seed(3)
    step = torch.randn(600, 3, generator=generator)
    center = torch.cumsum(3.8 * step / step.norm(dim=-1, keepdim=True), dim=0)
    center = center - center.mean(0)
    center = center * (35 / center.norm(dim=-1).max())
    amplitude = 6 + 2 * torch.rand(600, generator=generator)
    return GaussianModel(center, amplitude, torch.full((600,), 2.5))


@pytest.fixture(scope="module")
def density(atoms) -> Volume:
    return render_volume(atoms, BOX, PIXEL)


@pytest.fixture(scope="module")
def fit(atoms, density):
    return fit_neutral_to_atoms(atoms, density, QUICK, report=quiet)


def test_the_model_shows_what_the_atoms_do(atoms, fit):
    """Judged by the definition of a projection, of the atoms themselves, from other views."""
    grid = FourierGrid(BOX, PIXEL)
    poses = random_poses(20, torch.Generator().manual_seed(1))
    images = [project_gaussians_reference(model, poses, grid) for model in (atoms, fit.model)]
    frc = ring_correlation(*images, grid)[:, 1 : grid.ring_of(12.0) + 1]
    assert fit.mean_frc > 0.95
    assert float(frc.mean()) == pytest.approx(fit.mean_frc, abs=0.02)
    assert len(fit.model) < 200


def test_the_model_fits_the_network_units(fit):
    assert (fit.base_width, fit.box_length, fit.resolution) == (4.0, 128.0, 12.0)
    assert (fit.model.amplitude > 0).all()
    assert (fit.model.amplitude < 1).all()
    assert ((fit.model.width / fit.base_width - 1).abs() < 0.5).all()


def test_clusters_have_the_mass_and_the_centre_of_their_atoms(atoms):
    model = to_physical_units(_cluster(atoms, 40, 4.0, 128.0, seed=0).sigmoid(), 128.0, 4.0)
    mass = model.amplitude * model.width**3
    mean = (model.center * (mass / mass.sum())[:, None]).sum(0)
    expected = (atoms.center * (atoms.amplitude / atoms.amplitude.sum())[:, None]).sum(0)
    torch.testing.assert_close(mean, expected, atol=0.05, rtol=0)
    nearest = torch.cdist(atoms.center, model.center).argmin(1)
    share = torch.zeros(40).index_add(0, nearest, atoms.amplitude) / atoms.amplitude.sum()
    assert float(torch.corrcoef(torch.stack([share, mass]))[0, 1]) > 0.98


def test_as_many_as_are_asked_for_but_no_more_than_there_are(atoms, density):
    for asked, got in ((50, 50), (5000, 600)):
        options = NeutralOptions(resolution=12.0, gaussians=asked, steps=2, views=10, batch_size=2)
        assert len(fit_neutral_to_atoms(atoms, density, options, report=quiet).model) == got


def test_atoms_outside_the_mask_do_not_count(atoms, density):
    half = torch.zeros(BOX, BOX, BOX)
    half[:, :, : BOX // 2] = 1
    options = NeutralOptions(resolution=20.0, start_gaussians=24, steps=5, views=20, batch_size=4)
    mask = Volume(half, PIXEL)
    fit = fit_neutral_to_atoms(atoms, density, options, mask=mask, report=quiet)
    assert fit.model.center[:, 0].max() < PIXEL
    empty = Volume(torch.zeros_like(half), PIXEL)
    with pytest.raises(InputFileError, match="must hold atoms of the model, got none"):
        fit_neutral_to_atoms(atoms, density, options, mask=empty, report=quiet)


def test_too_fine_a_resolution(atoms, density):
    with pytest.raises(ResolutionError, match="finer than twice the voxel size, 8 Å"):
        fit_neutral_to_atoms(atoms, density, NeutralOptions(resolution=5.0), report=quiet)
