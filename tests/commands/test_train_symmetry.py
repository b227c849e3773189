"""A training with symmetry: copies, files, what stays fixed, and what is refused."""

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.commands.record import read_source
from cryomix.files.checkpoint import read_array, write_gaussians
from cryomix.files.job import JobFolder
from cryomix.files.mrc import read_volume, write_volume
from cryomix.files.relion import read_particles, write_particle_set
from cryomix.files.relion_table import particle_block
from cryomix.files.star import read_star
from cryomix.files.training import read_model
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import random_poses
from cryomix.geometry.symmetry import point_group
from cryomix.imaging.gaussians import GaussianModel, render_volume

COUNT = 80
BODY = torch.tensor([[14.0, 0, -8], [20, 7, 0], [22, -6, 5], [16, 2, 10]])
TIP = torch.tensor([34.0, 0, 8])
QUICK = ["--latent-dim", "1", "--epochs", "2", "--hidden", "16", "--seed", "2"]
UNITS = {"base_width": "4.0", "box_length": "120.0", "resolution": "15.0"}


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def trimer(offset):
    """Three units about z, the tip of each moved along its own tangent by `offset`, Å."""
    group = point_group("C3").float()
    tip = TIP + offset[..., None] * torch.tensor([0.0, 1, 0])
    unit = torch.cat([BODY.expand(*offset.shape, 4, 3), tip[..., None, :]], dim=-2)
    center = torch.einsum("gij,...gnj->...gni", group, unit).flatten(-3, -2)
    whole = torch.ones(center.shape[:-1])
    return GaussianModel(center, 0.5 * whole, 4.0 * whole)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Particles, a neutral model of fifteen Gaussians, and masks."""
    return tmp_path_factory.mktemp("c3")


@pytest.fixture
def inputs(folder, make_particles):
    if not (folder / "particles.star").is_file():
        generator = torch.Generator().manual_seed(1)
        offset = 16 * torch.rand(COUNT, 3, generator=generator) - 8
        poses = random_poses(COUNT, generator)
        particles = make_particles(trimer(offset), poses, FourierGrid(24, 5.0), noise=1.0)
        write_particle_set(folder / "particles.star", particles)
        neutral = trimer(torch.zeros(3))
        write_gaussians(folder / "neutral.safetensors", neutral, UNITS)
        write_volume(folder / "consensus.mrc", render_volume(neutral, 24, 5.0))
    return folder


@pytest.fixture
def job(inputs):
    """A training under C3 that was done once."""
    path = inputs / "job"
    if not path.is_dir():
        assert call(*train_arguments(inputs, path, "--symmetry", "C3")) == 0
    return path


def train_arguments(inputs, job, *more):
    start = [inputs / "particles.star", "--neutral", inputs / "neutral.safetensors", "-o", job]
    return ["train", *start, "--no-grow", *QUICK, *more]


def test_each_copy_has_a_latent_and_a_row(job, inputs):
    latents = read_array(job / "latents.npy")
    assert latents.shape == (3 * COUNT, 1)
    rows = particle_block(read_star(job / "particles.star"))
    before = particle_block(read_star(inputs / "particles.star"))
    assert set(before.labels) < set(rows.labels)
    assert rows.floats("cryomixSourceParticle").tolist() == np.repeat(np.arange(80) + 1, 3).tolist()
    assert rows.floats("cryomixSymmetryCopy").tolist() == [1, 2, 3] * COUNT
    assert rows.floats("cryomixLatent1") == pytest.approx(latents[:, 0], abs=1e-6)
    names = [name for name in before.column("rlnImageName") for _ in range(3)]
    assert rows.column("rlnImageName") == names


def test_only_one_unit_moves(job):
    model = read_model(job / "model.safetensors")
    neutral = model.decoder.neutral
    decoded = model.decode(torch.tensor([[-2.0], [1.5]]))
    moved = (decoded.center - neutral.center).norm(dim=-1).amax(0) > 0
    changed = (decoded.amplitude != neutral.amplitude).any(0)
    changed |= (decoded.width != neutral.width).any(0)
    units = moved.reshape(3, 5)
    assert units.all(1).sum() == 1
    assert not units[~units.all(1)].any()
    assert torch.equal(changed, moved)


def test_later_commands_see_the_copies(job, inputs):
    source, particles = read_source(JobFolder(job))
    assert source == job / "expanded.star"
    assert len(particles) == 3 * COUNT
    given = read_particles(inputs / "particles.star")
    assert torch.equal(particles.half_set, given.half_set.repeat_interleave(3))
    expected = given.poses.rotation[:, None] @ point_group("C3").float().mT
    torch.testing.assert_close(particles.poses.rotation, expected.flatten(0, 1), atol=1e-5, rtol=0)
    at = job.parent / "zero.npy"
    np.save(at, np.zeros((1, 1), np.float32))
    out = job.parent / "maps"
    assert call("reconstruct", job, "--at", at, "--no-clusters", "-o", out) == 0
    assert read_volume(out / "at001.mrc").box_size == 24


def test_a_mask_says_which_unit(inputs):
    third = trimer(torch.zeros(3)).subset(torch.arange(10, 15))
    mask = render_volume(third, 24, 5.0)
    write_volume(inputs / "third.mrc", type(mask)((mask.density > 0.1).float(), 5.0))
    job = inputs / "masked"
    more = ["--symmetry", "c3", "--focus", inputs / "third.mrc"]
    assert call(*train_arguments(inputs, job, *more)) == 0
    model = read_model(job / "model.safetensors")
    varying = (model.decoder.varying > 0.5).any(1)
    assert varying.nonzero()[:, 0].tolist() == [10, 11, 12, 13, 14]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--symmetry", "C4"], "must have the symmetry C4 about the centre of its box"),
        (["--symmetry", "D3"], "must have the symmetry D3 about the centre of its box"),
        (["--symmetry", "H3"], "symmetry must be C1 to C99"),
    ],
)
def test_a_map_without_the_symmetry_is_refused(inputs, more, message, capsys):
    out = inputs / "refused"
    assert call(*train_arguments(inputs, out, *more)) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
    start = [inputs / "particles.star", "--map", inputs / "consensus.mrc", "-o", out]
    assert call("run", *start, *more) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_mask_of_all_units_is_refused(inputs, capsys):
    mask = render_volume(trimer(torch.zeros(3)), 24, 5.0)
    write_volume(inputs / "all.mrc", type(mask)((mask.density > 0.05).float(), 5.0))
    out = inputs / "whole"
    more = ["--symmetry", "C3", "--focus", inputs / "all.mrc"]
    assert call(*train_arguments(inputs, out, *more)) == 2
    assert "must hold parts of one unit of C3, but 100 %" in capsys.readouterr().err


def test_a_job_goes_on_with_the_same_symmetry_only(job, inputs, capsys):
    assert call(*train_arguments(inputs, job, "--symmetry", "C1", "--resume")) == 2
    assert "same symmetry as before, 'C3', got 'C1'" in capsys.readouterr().err
