"""The whole job on a small set: files, resuming, and what is refused before it begins."""

import re
import shutil

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files import training
from cryomix.files.checkpoint import read_array, read_csv, read_gaussians
from cryomix.files.mrc import open_stack, read_volume, write_stack, write_volume
from cryomix.files.relion import read_particles
from cryomix.files.run_record import read_run_record
from cryomix.files.star import read_star
from cryomix.files.volume_list import read_volume_list
from cryomix.imaging.volume import Volume

SYSTEM = ["--particles", "240", "--box", "24", "--pixel-size", "8", "--snr", "1", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--epochs", "3", "--hidden", "16", "--gaussians", "64"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "linear"
    assert call("simulate", "linear", "-o", folder, *SYSTEM) == 0
    return folder


def run_arguments(folder, job, *more):
    inputs = [folder / "particles.star", "--map", folder / "consensus.mrc"]
    return ["run", *inputs, "-o", job, *QUICK, *more]


@pytest.fixture(scope="module")
def job(simulated, tmp_path_factory):
    job = tmp_path_factory.mktemp("job") / "job"
    assert call(*run_arguments(simulated, job)) == 0
    return job


def test_the_job_folder_holds_what_scripts_rely_on(job):
    expected = [
        "run.toml", "neutral/gaussians.safetensors", "neutral/neutral.mrc", "neutral/frc.csv",
        "model.safetensors", "latents.npy", "latent_std.npy", "particles.star", "history.csv",
        "analysis/pca.npy", "analysis/umap.npy", "analysis/clusters.npy",
        "analysis/trajectories/axis1.npy", "analysis/trajectories/curve.npy",
        "volumes/cluster01.mrc", "volumes/cluster01_half1.mrc", "volumes/cluster01_half2.mrc",
        "volumes/fsc/cluster01.csv", "volumes/curve001.mrc", "report.html",
    ]  # fmt: skip
    assert [name for name in expected if not (job / name).is_file()] == []
    assert not (job / "checkpoints").exists()


def test_the_input_is_never_touched(simulated, tmp_path, job):
    """Neither by the run before nor by one in a folder that may not be written."""
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in simulated.iterdir()}
    folder = shutil.copytree(simulated, tmp_path / "copy")
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert call(*run_arguments(folder, tmp_path / "job")) == 0
    folder.chmod(0o755)
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in simulated.iterdir())
    for path, (content, time) in before.items():
        assert path.read_bytes() == (folder / path.name).read_bytes() == content
        assert path.stat().st_mtime_ns == time
        assert (folder / path.name).stat().st_mtime_ns == time


def test_latents_are_rows_in_the_order_of_the_input(job, simulated):
    latents, std = read_array(job / "latents.npy"), read_array(job / "latent_std.npy")
    assert latents.shape == std.shape == (240, 1)
    assert latents.dtype == std.dtype == np.float32
    assert (std > 0).all()
    score = read_array(job / "image_score.npy")
    assert score.shape == (240,)
    assert np.median(score) > 0  # nats over an empty image
    truth = np.load(simulated / "truth.npz")
    assert abs(np.corrcoef(latents[:, 0], truth["t"])[0, 1]) > 0.7


def test_the_star_file_keeps_its_rows_and_gains_columns(job, simulated):
    before = read_star(simulated / "particles.star").blocks[1]
    after = read_star(job / "particles.star").blocks[1]
    assert after.labels == (*before.labels, "cryomixLatent1", "cryomixCluster")
    for label in before.labels:
        assert after.column(label) == before.column(label)
    latents = np.array([float(value) for value in after.column("cryomixLatent1")])
    assert latents == pytest.approx(read_array(job / "latents.npy")[:, 0], abs=1e-6)
    clusters = np.array([int(value) for value in after.column("cryomixCluster")])
    assert (clusters == read_array(job / "analysis" / "clusters.npy") + 1).all()


def test_the_record_and_the_history_say_what_was_run(job):
    record = read_run_record(job / "run.toml")
    assert record.command == "run"
    assert record.options["latent_size"] == 1
    assert [digest.path.split("/")[-1] for digest in record.inputs] == [
        "particles.star",
        "consensus.mrc",
    ]
    history = read_csv(job / "history.csv")
    assert history["number"].tolist() == [1, 2, 3]
    assert history["held_out_score"][-1] > 0


def test_maps_lie_on_the_grid_of_the_consensus(job, simulated):
    consensus = read_volume(simulated / "consensus.mrc")
    for name in ("volumes/cluster01.mrc", "volumes/curve003_half1.mrc", "neutral/neutral.mrc"):
        volume = read_volume(job / name)
        assert (volume.box_size, volume.voxel_size) == (24, pytest.approx(8.0))
        assert torch.corrcoef(torch.stack([volume.density.flatten(), consensus.density.flatten()]))[
            0, 1
        ] > (0.9 if "neutral" in name else 0.3)


def test_the_report_shows_what_was_found_without_outside_resources(job):
    page = (job / "report.html").read_text()
    assert "240 particles" in page
    assert "along the particles" in page
    assert page.count("data:image/") >= 5
    assert not re.search(r"src=[\"'](?!data:)|<link|@import|url\((?![\"']?(?:data:|#))", page)


def test_a_latent_decodes_to_its_model(job, tmp_path):
    np.save(tmp_path / "latents.npy", np.array([[0.0], [0.5]], np.float32))
    assert call("decode", job, tmp_path / "latents.npy", "-o", tmp_path / "out") == 0
    neutral = read_gaussians(job / "neutral" / "gaussians.safetensors")
    first, second = (
        read_gaussians(tmp_path / "out" / f"state{number:03d}.safetensors") for number in (1, 2)
    )
    torch.testing.assert_close(first.center, neutral.center, rtol=0, atol=0)
    assert (second.center - neutral.center).abs().max() > 0.1
    volume = read_volume(tmp_path / "out" / "state001.mrc")
    torch.testing.assert_close(volume.density, read_volume(job / "neutral" / "neutral.mrc").density)


def test_maps_at_latents_are_named_in_row_order(job, tmp_path):
    np.save(tmp_path / "latents.npy", np.array([[-1.0], [1.0]], np.float32))
    arguments = ["--at", tmp_path / "latents.npy", "--no-clusters", "-o", tmp_path / "out"]
    assert call("reconstruct", job, *arguments) == 0
    names = sorted(path.name for path in (tmp_path / "out").glob("*.mrc"))
    assert [name for name in names if "half" not in name] == ["at001.mrc", "at002.mrc"]
    assert len(names) == 6


def test_a_selection_has_the_map_of_its_particles(job, tmp_path):
    rows = np.flatnonzero(np.load(job / "analysis" / "clusters.npy") == 0)
    np.save(tmp_path / "rows.npy", rows)
    select = ["--select", f"rows:{tmp_path}/rows.npy", "--no-clusters"]
    assert call("reconstruct", job, *select, "-o", tmp_path / "maps") == 0
    assert [path.name for path in (tmp_path / "maps").glob("*.mrc") if "half" not in path.name] == [
        "selection.mrc"
    ]
    chosen = read_volume(tmp_path / "maps" / "selection_half1.mrc").density
    cluster = read_volume(job / "volumes" / "cluster01_half1.mrc").density
    torch.testing.assert_close(chosen, cluster)


def test_maps_say_how_many_particles_they_are_worth(job, tmp_path, capsys):
    np.save(tmp_path / "latents.npy", np.array([[-1.0], [1.0]], np.float32))
    arguments = ["--at", tmp_path / "latents.npy", "--no-clusters", "-o"]
    assert call("reconstruct", job, *arguments, tmp_path / "all") == 0
    assert re.search(
        r"^at001: \d+ effective particles, \d+ in fine shells", capsys.readouterr().out
    )
    told = read_volume_list(tmp_path / "all")
    shells = read_csv(tmp_path / "all" / "fsc" / "at001.csv")["particles"]
    assert (np.diff(shells) >= 0).all()
    assert told["at001"].particles == round(shells[0]) >= 60
    assert told["at001"].finest_particles == round(shells[-1]) <= 240
    assert call("reconstruct", job, *arguments, tmp_path / "near", "--nearest", "50") == 0
    assert capsys.readouterr().out.startswith("at001: 50 particles, ")
    assert read_volume_list(tmp_path / "near")["at002"].finest_particles is None


def test_a_path_laid_by_hand_is_decoded_rebuilt_and_drawn(job, tmp_path):
    folder = shutil.copytree(job, tmp_path / "job")
    assert call("trajectory", folder, "geodesic", "-1", "1", "--steps", "2", "-o", "laid") == 0
    laid = folder / "analysis" / "trajectories" / "laid.npy"
    assert call("decode", folder, laid, "-o", tmp_path / "models") == 0
    assert len(list((tmp_path / "models").glob("state*.mrc"))) == 2
    rebuild = ["reconstruct", folder, "--trajectory", "laid", "--no-clusters"]
    assert call(*rebuild, "-o", tmp_path / "near", "--nearest", "50") == 0
    assert read_volume_list(tmp_path / "near")["laid002"].particles == 50
    assert (tmp_path / "near" / "laid001_half2.mrc").is_file()
    assert call(*rebuild) == 0
    assert call("draw", folder, "laid", "-o", tmp_path / "drawn", "--frames", "2") == 0
    assert (tmp_path / "drawn" / "maps.gif").is_file()


def test_states_need_error_bars(job, tmp_path, capsys):
    shutil.copytree(job, tmp_path / "job")
    for name in ("latent_covariance.npy", "latent_std.npy"):
        (tmp_path / "job" / name).unlink()
    arguments = ["--trajectory", "curve", "--no-clusters", "-o", tmp_path / "out"]
    assert call("reconstruct", tmp_path / "job", *arguments) == 2
    assert "latent_std.npy is missing" in capsys.readouterr().err


def test_a_domain_has_its_directions(job, simulated, capsys):
    assert call("analyze", job, "--domain", simulated / "mask.mrc", "--clusters", "3") == 0
    assert read_array(job / "analysis" / "localized_mask.npy").shape == (1, 1)
    assert set(read_array(job / "analysis" / "clusters.npy").tolist()) == {0, 1, 2}
    assert "inside the domain" in capsys.readouterr().out
    assert call("analyze", job) == 0


def test_an_interrupted_job_ends_as_one_that_was_not(job, simulated, tmp_path, monkeypatch, capsys):
    write_state = training.write_state

    def write_and_stop(path, state, settings):
        write_state(path, state, settings)
        if len(state.history) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "write_state", write_and_stop)
    again = tmp_path / "job"
    assert call(*run_arguments(simulated, again)) == 130
    assert "--resume" in capsys.readouterr().err
    assert not (again / "latents.npy").exists()
    monkeypatch.setattr(training, "write_state", write_state)
    assert call(*run_arguments(simulated, again)) == 2  # without --resume it is left alone
    assert call(*run_arguments(simulated, again, "--resume", "--seed", "1")) == 2
    assert "needs the same seed as before, 0, got 1" in capsys.readouterr().err
    assert call(*run_arguments(simulated, again, "--resume")) == 0
    for name in ("latents.npy", "latent_std.npy", "history.csv"):
        assert (again / name).read_bytes() == (job / name).read_bytes()


def test_a_job_step_by_step_is_the_same(job, simulated, tmp_path):
    neutral = ["neutral", simulated / "consensus.mrc", "-o", tmp_path / "n", "--gaussians", "64"]
    assert call(*neutral) == 0
    quick = [flag for flag in QUICK if flag not in ("--gaussians", "64")]
    particles = simulated / "particles.star"
    assert call("train", particles, "--neutral", tmp_path / "n", "-o", tmp_path / "j", *quick) == 0
    assert (tmp_path / "j" / "latents.npy").read_bytes() == (job / "latents.npy").read_bytes()


def spoil_images(folder):
    stack = folder / "particles.mrcs"
    images = open_stack(stack).read(torch.arange(240))
    images[5, 0, 0] = torch.nan
    stack.unlink()
    write_stack(stack, [images], 8.0)


def shorten_stack(folder):
    stack = folder / "particles.mrcs"
    stack.write_bytes(stack.read_bytes()[:-100])


def point_beyond_the_stack(folder):
    star = folder / "particles.star"
    star.write_text(star.read_text().replace("000240@", "000999@"))


def without_column(label):
    def rename(folder):
        star = folder / "particles.star"
        star.write_text(star.read_text().replace(f"_{label} ", "_somethingElse "))

    return rename


def invert(folder):
    stack = folder / "particles.mrcs"
    images = -open_stack(stack).read(torch.arange(240))
    stack.unlink()
    write_stack(stack, [images], 8.0)


def with_volume(name, density, voxel_size):
    return lambda folder: write_volume(folder / name, Volume(density, voxel_size))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "particles.star").unlink(), "particles.star"),
        (lambda folder: (folder / "particles.mrcs").unlink(), "particles.mrcs"),
        (lambda folder: (folder / "consensus.mrc").unlink(), "consensus.mrc"),
        (shorten_stack, "truncated"),
        (spoil_images, "images must be finite and not constant; 1 are not: rows 6"),
        (point_beyond_the_stack, "asks for image 999"),
        (without_column("rlnAngleTilt"), "rlnAngleTilt"),
        (without_column("rlnDefocusU"), "rlnDefocusU"),
        (without_column("rlnImagePixelSize"), "ixelSize"),
        (with_volume("consensus.mrc", torch.rand(20, 20, 20), 8.0), "24 px, got 20 px"),
        (with_volume("consensus.mrc", torch.rand(24, 24, 24), 5.0), "8 Å, got 5 Å"),
        (with_volume("mask.mrc", torch.rand(20, 20, 20), 8.0), "24 px, got 20 px"),
        (invert, "contrast is inverted"),
    ],
)
def test_bad_input_gets_one_line_and_no_work(simulated, tmp_path, capsys, spoil, message):
    folder = shutil.copytree(simulated, tmp_path / "copy")
    spoil(folder)
    arguments = run_arguments(folder, tmp_path / "job", "--mask", folder / "mask.mrc")
    assert call(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not (tmp_path / "job" / "run.toml").exists()


def test_a_map_that_is_not_a_cube_is_refused(simulated, tmp_path, capsys):
    folder = shutil.copytree(simulated, tmp_path / "copy")
    (folder / "consensus.mrc").unlink()
    shutil.copy(folder / "particles.mrcs", folder / "consensus.mrc")
    assert call(*run_arguments(folder, tmp_path / "job")) == 2
    assert "consensus.mrc: a map must be about cubic" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused(simulated, tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert call(*run_arguments(simulated, tmp_path / "file" / "job")) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert call(*run_arguments(simulated, simulated)) == 2
    assert "already holds" in capsys.readouterr().err
    read_particles(simulated / "particles.star")


def test_a_folder_that_is_no_job_is_refused(tmp_path, capsys):
    for command in (["analyze"], ["reconstruct"], ["decode", tmp_path / "l.npy", "-o", "x"]):
        assert call(command[0], tmp_path, *command[1:]) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert "run.toml is missing" in captured.err
