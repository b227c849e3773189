"""Training in focus, in groups, and on from another job."""

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files.checkpoint import read_array, read_gaussians
from cryomix.files.domain_motions import read_domain_motions
from cryomix.files.mrc import read_volume, write_volume
from cryomix.files.relion_table import particle_block
from cryomix.files.run_record import read_run_record
from cryomix.files.star import read_star
from cryomix.files.training import read_model
from cryomix.imaging.gaussians import mask_values
from cryomix.imaging.volume import Volume

SYSTEM = ["--particles", "200", "--box", "24", "--pixel-size", "8", "--snr", "1", "--seed", "3"]
QUICK = ["--latent-dim", "2", "--epochs", "2", "--hidden", "16", "--threads", "1", "--no-grow"]
QUICK += ["--batch-size", "32", "--posterior-steps", "0"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("focus")
    assert call("simulate", "linear", "-o", folder / "set", *SYSTEM) == 0
    neutral = ["neutral", folder / "set" / "consensus.mrc", "-o", folder / "neutral"]
    assert call(*neutral, "--steps", "40", "--gaussians", "64", "--threads", "1") == 0
    soft = read_volume(folder / "set" / "mask.mrc")
    write_volume(folder / "arm.mrc", Volume((soft.density > 0.6).float(), soft.voxel_size))
    return folder


def train(folder, out, *more):
    given = ["train", folder / "set" / "particles.star", "--neutral", folder / "neutral"]
    return call(*given, "-o", folder / out, *QUICK, *more)


@pytest.fixture(scope="module")
def job(folder):
    """In focus: the moving domain."""
    assert train(folder, "job", "--focus", folder / "arm.mrc") == 0
    assert call("analyze", folder / "job", "--clusters", "3", "--threads", "1") == 0
    return folder / "job"


def test_gaussians_out_of_focus_stay_where_they_are(job, folder):
    model = read_model(job / "model.safetensors")
    inside = mask_values(model.decoder.neutral, read_volume(folder / "arm.mrc"))
    models = model.decode(torch.from_numpy(read_array(job / "latents.npy")))
    away = (models.center - model.decoder.center).norm(dim=-1).amax(0)
    assert (inside == 0).sum() > 20
    assert (away[inside == 0] == 0).all()
    assert (away[inside > 0.5] > 0).all()
    assert read_run_record(job / "run.toml").options["focus"] == [str(folder / "arm.mrc")]


def test_numbers_of_gaussians_are_groups_with_latents_of_their_own(folder):
    np.save(folder / "few.npy", np.array([3, 5]))
    chosen = np.zeros(64, bool)
    chosen[40:] = True
    np.save(folder / "many.npy", chosen)
    assert (
        train(folder, "groups", "--focus", folder / "few.npy", "--focus", folder / "many.npy") == 0
    )
    model = read_model(folder / "groups" / "model.safetensors")
    shown = model.decode(torch.tensor([[1.0, 0.0], [0.0, 1.0]])).center
    moved = (shown - model.decoder.center).norm(dim=-1) > 0
    assert moved[0].nonzero()[:, 0].tolist() == [3, 5]
    assert moved[1].nonzero()[:, 0].tolist() == list(range(40, 64))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.array([64]), "numbered from 0 to 63, got 64 to 64"),
        (np.zeros(5, bool), "true or false for each of 64"),
        (np.zeros(64, bool), "must hold Gaussians of the neutral model, got none"),
        (np.ones((2, 2)), "numbers of Gaussians"),
    ],
)
def test_a_selection_that_does_not_fit_is_refused(folder, content, message, capsys):
    np.save(folder / "bad.npy", content)
    assert train(folder, "refused", "--focus", folder / "bad.npy") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "bad.npy" in error
    assert not (folder / "refused").exists()


def test_a_mask_that_does_not_fit_is_refused(folder, capsys):
    write_volume(folder / "loud.mrc", Volume(torch.full((24, 24, 24), 3.0), 8.0))
    assert train(folder, "refused", "--focus", folder / "loud.mrc") == 2
    assert "loud.mrc: a mask must be between 0 and 1, got 3 to 3" in capsys.readouterr().err
    write_volume(folder / "small.mrc", Volume(torch.ones(20, 20, 20), 8.0))
    assert train(folder, "refused", "--focus", folder / "small.mrc") == 2
    assert "24 px, got 20 px" in capsys.readouterr().err
    three = ["--focus", folder / "arm.mrc"] * 3
    assert train(folder, "refused", *three) == 2
    assert "--latent-dim must be a multiple of 3" in capsys.readouterr().err


def test_a_second_round_goes_on_from_clusters(job, folder):
    second = ["train", "--from", job, "--clusters", "1", "--clusters", "3", "--vary", "centers"]
    assert call(*second, "-o", folder / "second", *QUICK) == 0
    label = read_array(job / "analysis" / "clusters.npy")
    rows = np.flatnonzero(label != 1)
    given = particle_block(read_star(folder / "set" / "particles.star"))
    chosen = particle_block(read_star(folder / "second" / "selection.star"))
    assert chosen.labels == given.labels
    assert chosen.rows == [given.rows[row] for row in rows]
    first = read_model(job / "model.safetensors")
    models = first.decode(torch.from_numpy(read_array(job / "latents.npy")[rows]))
    begun = read_gaussians(folder / "second" / "neutral" / "gaussians.safetensors")
    torch.testing.assert_close(begun.center, models.center.mean(0), atol=1e-4, rtol=0)
    torch.testing.assert_close(begun.amplitude, models.amplitude.mean(0), atol=2e-3, rtol=0)
    assert len(read_array(folder / "second" / "latents.npy")) == len(rows)
    assert call("analyze", folder / "second", "--threads", "1") == 0
    assert call(*second, "-o", folder / "second", *QUICK, "--resume") == 0


def test_a_second_round_takes_rows_that_hold_the_latents(job, folder):
    star = read_star(job / "particles.star")
    block = particle_block(star)
    text = b"".join(line + b"\n" for line in block.selected(np.arange(0, 200, 2)).lines)
    source = folder / "set" / "half.star"
    optics = b"".join(line + b"\n" for line in star.block("optics").lines)
    source.write_bytes(optics + text)
    one = [word if word != "2" else "1" for word in QUICK]
    assert call("train", source, "--from", job, "-o", folder / "rows", *one) == 0
    written = particle_block(read_star(folder / "rows" / "particles.star"))
    assert "cryomixLatent1" in written.labels
    assert "cryomixLatent2" not in written.labels  # it was of the first job
    assert "cryomixCluster" in written.labels
    latents = written.floats("cryomixLatent1")
    np.testing.assert_allclose(
        latents, read_array(folder / "rows" / "latents.npy")[:, 0], atol=1e-5
    )


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--clusters", "1"], "--clusters needs --from"),
        ([], "needs PARTICLES and --neutral, or --from"),
        (["--from", "job", "--neutral", "neutral"], "--neutral and --from both say"),
        (["--from", "job", "--clusters", "9"], "numbered from 1 to 3, got 9"),
        (["--from", "job", "set/particles.star"], "lacks _cryomixLatent1"),
    ],
)
def test_a_beginning_that_does_not_fit_is_refused(job, folder, more, message, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert call("train", *more, "-o", "refused", *QUICK) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "refused").exists()


def test_domains_alone_and_together(job, folder, capsys):
    np.save(folder / "lower.npy", np.arange(20))
    domains = ["--domain", folder / "arm.mrc", "--domain", folder / "lower.npy"]
    assert call("analyze", job, *domains, "--clusters", "3", "--threads", "1") == 0
    told = capsys.readouterr().out
    assert "arm: turns by" in told or "arm: does not surely turn" in told
    motions = read_domain_motions(job / "analysis" / "domains.json")
    assert [motion.name for motion in motions] == ["arm", "lower"]
    assert motions[0].share_inside > 0.99  # nothing else can move
    paths = sorted(path.stem for path in (job / "analysis" / "trajectories").glob("localized*"))
    assert paths == [
        "localized_arm", "localized_arm_minus_lower", "localized_arm_plus_lower",
        "localized_lower",
    ]  # fmt: skip
    assert read_array(job / "analysis" / "coordinate_arm.npy").shape == (200,)
    kept = {name: read_array(job / "analysis" / f"domain_{name}.npy") for name in ("arm", "lower")}
    np.testing.assert_array_equal(np.flatnonzero(kept["lower"]), np.arange(20))
    assert [int(inside.sum()) for inside in kept.values()] == [each.gaussians for each in motions]
    page = (job / "report.html").read_text()
    assert "Domain arm" in page
    assert "arm against lower" in page.lower()
    again = ["--domain", folder / "arm.mrc"] * 2
    assert call("analyze", job, *again) == 2
    assert "two domains must not have one name" in capsys.readouterr().err
    assert call("view", job, "--no-browser", *again) == 2
    assert "two domains must not have one name" in capsys.readouterr().err
