"""The matrix product: in pieces it is the same product, and memory does not grow with N."""

import os
import subprocess
import sys

import pytest
import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses
from cryomix.imaging import projection_factorized
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_factorized import project_gaussians_factorized
from cryomix.imaging.projection_reference import project_gaussians_reference


def value_and_gradients(project, model, poses, grid):
    leaves = [v.clone().requires_grad_() for v in (model.center, model.amplitude, model.width)]
    shift = poses.shift.clone().requires_grad_()
    image_ft = project(GaussianModel(*leaves), Poses(poses.rotation, shift), grid)
    real = torch.view_as_real(image_ft)
    weight = torch.sin(torch.arange(real.numel()) * 1.7).reshape(real.shape).to(real)
    return image_ft, torch.autograd.grad((real * weight).sum(), [*leaves, shift])


@pytest.mark.parametrize("box_size", [16, 17])
@pytest.mark.parametrize("at_once", [1, 4, 6, 100])
def test_pieces_of_any_size_equal_the_reference(model, poses, monkeypatch, box_size, at_once):
    """Six Gaussians by one, by four with a rest of two, and all at once."""
    monkeypatch.setattr(projection_factorized, "_CHUNK", at_once * len(poses) * box_size)
    grid = FourierGrid(box_size, 2.5)
    fast = value_and_gradients(project_gaussians_factorized, model, poses, grid)
    slow = value_and_gradients(project_gaussians_reference, model, poses, grid)
    torch.testing.assert_close(fast, slow)


def test_gradients_are_those_of_finite_differences(model, poses):
    grid, few = FourierGrid(6, 5.0), poses[:2]

    def project(center, amplitude, width, shift):
        views = Poses(few.rotation, shift)
        return project_gaussians_factorized(GaussianModel(center, amplitude, width), views, grid)

    leaves = (model.center[:3], model.amplitude[:3], model.width[:3], few.shift)
    assert torch.autograd.gradcheck(project, [leaf.clone().requires_grad_() for leaf in leaves])


def test_one_model_for_each_pose(model, poses):
    batch = GaussianModel(
        torch.stack([model.center + step for step in range(len(poses))]),
        model.amplitude.expand(len(poses), -1) * 1.5,
        model.width.expand(len(poses), -1) * 1.1,
    )
    grid = FourierGrid(16, 2.5)
    fast = value_and_gradients(project_gaussians_factorized, batch, poses, grid)
    slow = value_and_gradients(project_gaussians_reference, batch, poses, grid)
    torch.testing.assert_close(fast, slow)


def test_single_precision_stays_single(model, poses):
    grid = FourierGrid(16, 2.5)
    single = GaussianModel(model.center.float(), model.amplitude.float(), model.width.float())
    views = Poses(poses.rotation.float(), poses.shift.float())
    image_ft, gradients = value_and_gradients(project_gaussians_factorized, single, views, grid)
    exact_ft, exact = value_and_gradients(project_gaussians_reference, model, poses, grid)
    assert image_ft.dtype == torch.complex64
    torch.testing.assert_close(image_ft.to(exact_ft), exact_ft, rtol=0, atol=1e-3)
    for value, wanted in zip(gradients, exact, strict=True):
        assert value.dtype == torch.float32
        close = 1e-5 * float(wanted.abs().max())
        torch.testing.assert_close(value.double(), wanted, rtol=0, atol=close)


def test_no_gaussians_give_an_empty_image(model, poses):
    none = model.subset(torch.arange(0))
    image_ft, gradients = value_and_gradients(
        project_gaussians_factorized, none, poses, FourierGrid(16, 2.5)
    )
    assert not image_ft.any()
    assert image_ft.shape == (5, 16, 9)
    assert not gradients[3].any()


MEASURE = """
import resource

import torch

from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.projection_factorized import project_gaussians_factorized

torch.set_num_threads(1)


def run(gaussians):
    generator = torch.Generator().manual_seed(0)
    center = torch.randn(gaussians, 3, generator=generator, requires_grad=True)
    width = torch.full((gaussians,), 4.0, requires_grad=True)
    model = GaussianModel(10 * center, torch.ones(gaussians), width)
    image_ft = project_gaussians_factorized(model, random_poses(4, generator), GRID)
    image_ft.abs().sum().backward()


GRID = FourierGrid(64, 2.0)
run(10)  # the libraries' own work space
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(20000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is counted in kB on Linux")
def test_memory_does_not_grow_with_gaussians_times_box_times_particles():
    """20,000 Gaussians, 4 images of 64²: with whole factors it was 330 MB."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 100
