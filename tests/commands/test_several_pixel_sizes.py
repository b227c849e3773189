"""A job on two optics groups of other pixel and box sizes, whose images show the same molecule."""

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files.mrc import read_volume
from cryomix.files.relion import read_particles
from cryomix.files.star import read_star
from cryomix.imaging.volume import crop_volume

COMMON = ["--snr", "1", "--seed", "3", "--threads", "1"]
QUICK = ["--latent-dim", "2", "--epochs", "2", "--hidden", "16", "--threads", "1", "--no-grow"]
QUICK += ["--batch-size", "32", "--posterior-steps", "0"]
NOTED = "ignore:.*images of several pixel or box sizes"


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """200 particles of 24 px of 8 Å, then 120 of 30 px of 6.4 Å."""
    folder = tmp_path_factory.mktemp("two")
    for name, count, box, pixel in (("coarse", 200, 24, 8), ("fine", 120, 30, 6.4)):
        size = ["--particles", count, "--box", box, "--pixel-size", pixel]
        assert call("simulate", "linear", "-o", folder / name, *size, *COMMON) == 0
    one, two = (read_star(folder / name / "particles.star") for name in ("coarse", "fine"))
    second = [row.decode().split() for row in two.block("optics").rows]
    number = one.block("optics").labels.index("rlnOpticsGroup")
    second[0][number] = "2"
    optics = [*one.block("optics").lines[:-1], " ".join(second[0]).encode(), b""]
    labels = one.block("particles").labels
    rows = []
    for name, group, star in (("coarse", b"1", one), ("fine", b"2", two)):
        for row in star.block("particles").rows:
            values = row.split()
            values[0] = values[0].replace(b"@", f"@{name}/".encode())
            values[labels.index("rlnOpticsGroup")] = group
            rows.append(b" ".join(values))
    head = one.block("particles").lines[: one.block("particles").head]
    (folder / "particles.star").write_bytes(b"\n".join([*optics, *head, *rows, b""]))
    return folder


@pytest.mark.filterwarnings(NOTED)
def test_both_groups_agree_with_one_map(folder, capsys):
    """Which is also that of the finer group, but for the width of its Gaussians."""
    coarse, fine = (read_volume(folder / name / "consensus.mrc") for name in ("coarse", "fine"))
    pair = (coarse.density, crop_volume(fine, 24).density)
    assert torch.cosine_similarity(*(density.flatten() for density in pair), dim=0) > 0.97
    volume = folder / "coarse" / "consensus.mrc"
    assert call("check", folder / "particles.star", "--map", volume) == 0
    assert "320 particles, 24 px box, 8 Å per pixel" in capsys.readouterr().out


@pytest.mark.filterwarnings(NOTED)
def test_a_training_and_its_star_file(folder):
    neutral = folder / "neutral"
    small = ["--steps", "40", "--gaussians", "64", "--threads", "1"]
    assert call("neutral", folder / "coarse" / "consensus.mrc", "-o", neutral, *small) == 0
    job = folder / "job"
    source = folder / "particles.star"
    assert call("train", source, "--neutral", neutral, "-o", job, *QUICK) == 0
    assert np.isfinite(np.load(job / "latents.npy")).all()
    out = folder / "fine.star"
    assert call("export", job, "--to", "star", "-o", out, "--select", "rlnOpticsGroup=2") == 0
    before, after = read_star(source), read_star(out)
    assert after.block("optics").rows == before.block("optics").rows
    kept = [row.split()[: len(before.block("particles").labels)] for row in after.blocks[1].rows]
    assert kept == [row.split() for row in before.block("particles").rows[200:]]
    alone, given = read_particles(out), read_particles(folder / "fine" / "particles.star")
    assert (alone.box_size, alone.pixel_size, alone.limit) == (30, 6.4, None)
    every = torch.arange(120)
    assert torch.equal(alone.images.read(every), given.images.read(every))
    assert torch.equal(alone.poses.rotation, given.poses.rotation)


@pytest.mark.filterwarnings(NOTED)
def test_detail_that_one_group_lacks_is_refused_before_anything_is_written(folder, capsys):
    """120 of the coarse group and all of the fine: the grid is now the finer one."""
    rows = (folder / "particles.star").read_bytes().splitlines()
    names = [row for row in rows if b"@" in row]
    few = [row for row in rows if b"@" not in row or row not in names[:150]]
    (folder / "few.star").write_bytes(b"\n".join([*few, b""]))
    volume = folder / "fine" / "consensus.mrc"
    run = ["run", folder / "few.star", "--map", volume, "-o", folder / "run"]
    assert call(*run, "--resolution", "14", "--threads", "1") == 2
    assert "14 Å: finer than twice the largest pixel of the particles, 16 Å" in (
        capsys.readouterr().err
    )
    neutral = ["neutral", volume, "-o", folder / "detailed", "--resolution", "14"]
    assert call(*neutral, "--steps", "20", "--gaussians", "64", "--threads", "1") == 0
    train = ["train", folder / "few.star", "--neutral", folder / "detailed"]
    assert call(*train, "-o", folder / "run", *QUICK) == 2
    assert "finer than twice the largest pixel" in capsys.readouterr().err
    assert not (folder / "run").exists()
