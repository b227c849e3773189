"""Paths laid by hand and their drawings, on a job whose decoder turns an arm by the latent."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cryomix import cli
from cryomix.files.checkpoint import read_gaussians
from cryomix.files.job import JobFolder
from cryomix.files.mrc import write_volume
from cryomix.files.run_record import read_run_record, write_run_record
from cryomix.imaging.gaussians import GaussianModel, render_volume

_CORE = 20 * torch.randn(60, 3, generator=torch.Generator().manual_seed(0))


@dataclass
class _Arm:
    """A core that stays, and an arm 40 Å away that goes where the latent points, in 3-D along z."""

    settings: SimpleNamespace

    def decode(self, latent: torch.Tensor) -> GaussianModel:
        arm = torch.cat([40 * latent[:, :2], 0 * latent[:, :1]], dim=1)[:, None]
        arm = arm + torch.linspace(-8, 8, 20)[:, None] * torch.tensor([0.0, 0, 1])
        center = torch.cat([_CORE.expand(len(latent), -1, -1), arm], dim=1)
        return GaussianModel(
            center, torch.ones(center.shape[:2]), torch.full(center.shape[:2], 4.0)
        )


@pytest.fixture
def job(tmp_path, monkeypatch) -> JobFolder:
    """A ring of 1,200 particles in three clusters, and a tenth that see nothing, in its middle."""
    folder = JobFolder(tmp_path / "job")
    folder.analysis.mkdir(parents=True)
    angle = 2 * np.pi * np.arange(1200) / 1200
    generator = np.random.default_rng(0)
    latent = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    latent += 0.05 * generator.normal(size=latent.shape)
    informative = np.arange(1200) % 10 != 3
    latent[~informative] *= 0.05
    np.save(folder.latents, latent.astype(np.float32))
    np.save(folder.informative, informative)
    np.save(folder.clusters, np.arange(1200) // 400)
    write_run_record(folder.run_record, "train", {}, [], 0, "cpu")
    folder.model.write_bytes(b"in its place stands an arm")
    arm = _Arm(SimpleNamespace(latent_size=2))
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: arm)
    return folder


def call(command: str, job: JobFolder, *arguments: object) -> int:
    return cli.main([command, str(job.path), *map(str, arguments)])


def path_of(job: JobFolder, name: str) -> np.ndarray:
    return np.load(job.trajectories / f"{name}.npy")


def test_a_straight_line_between_latents(job, capsys):
    assert call("trajectory", job, "straight", "-0.5,1", "1,-1", "--steps", "4") == 0
    np.testing.assert_allclose(
        path_of(job, "straight"), np.linspace((-0.5, 1), (1, -1), 4), atol=1e-6
    )
    told = capsys.readouterr().out
    assert "straight.npy: 4 points" in told
    assert "length 2.5 in latent units, 50.0 Å" in told  # 2.5 × 40 Å, of a quarter of the mass
    assert "120 particles that see no motion are left out" in told


def test_points_are_particles_clusters_or_rows_of_files(job, tmp_path):
    (tmp_path / "drawn.csv").write_text("one,two\n0.5,0.5\n-0.5,0.25\n")
    np.save(tmp_path / "more.npy", np.array([[0.0, -1]]))
    words = ["particle:12", "cluster:2", tmp_path / "drawn.csv", tmp_path / "more.npy"]
    spacing = ["--spacing", "latent", "--steps", "400", "-o", "tour"]
    assert call("trajectory", job, "through", *words, *spacing) == 0
    latent = np.load(job.latents)
    points = [latent[11], latent[400:800].mean(axis=0), (0.5, 0.5), (-0.5, 0.25), (0, -1)]
    path = path_of(job, "tour")
    distance = np.linalg.norm(path[None] - np.array(points)[:, None], axis=2)
    assert distance.min(axis=1).max() < 0.01
    assert (np.diff(distance.argmin(axis=1)) > 0).all()
    step = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert step.max() / step.min() < 1.1
    record = read_run_record(job.trajectories / "tour.toml")
    assert record.options["points"] == [str(word) for word in words]
    assert len(record.inputs) == 4


def test_a_geodesic_goes_round_the_ring_past_particles_that_see_nothing(job):
    assert call("trajectory", job, "geodesic", "1,0", "-0.9,0.4", "--steps", "9") == 0
    assert np.linalg.norm(path_of(job, "geodesic"), axis=1) == pytest.approx(1, abs=0.1)


def test_a_circle_has_the_radius_of_the_particles_or_what_is_given(job):
    assert call("trajectory", job, "circle", "0,0", "--steps", "8") == 0
    path = path_of(job, "circle")
    assert np.linalg.norm(path, axis=1) == pytest.approx(1, abs=0.02)
    step = np.linalg.norm(np.roll(path, -1, axis=0) - path, axis=1)
    assert step == pytest.approx(2 * np.sin(np.pi / 8), rel=0.03)
    more = ["--radius", "0.25", "--axes", "latent", "--plane", "2", "1", "-o", "small"]
    assert call("trajectory", job, "circle", "0,0", "--steps", "4", *more) == 0
    quarter = 0.25 * np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
    np.testing.assert_allclose(path_of(job, "small"), quarter, atol=1e-3)


def test_a_closed_path_comes_back(job):
    corners = ["0,0", "1,0", "1,1", "0,1"]
    assert call("trajectory", job, "straight", *corners, "--closed", "--steps", "4") == 0
    expected = [[0, 0], [1, 0], [1, 1], [0, 1]]
    np.testing.assert_allclose(path_of(job, "straight"), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["straight"], "needs points"),
        (["straight", "0,0"], "at least 2 points, got 1"),
        (["straight", "0,0", "0,0"], "1 and 2 are the same"),
        (["straight", "0,0", "cluster:4"], "cluster:4: numbers go from 1 to 3"),
        (["straight", "0,0", "particle:0"], "particle:0: numbers go from 1 to 1200"),
        (["straight", "0,0", "1,2,3"], "has 2 finite latents, got '1,2,3'"),
        (["straight", "0,0", "nan,1"], "has 2 finite latents, got 'nan,1'"),
        (["straight", "0,0", "--stepss"], "or a file of latents (.npy, .csv), got '--stepss'"),
        (["straight", "0,0", "nowhere.csv"], "nowhere.csv: there is no such file"),
        (["straight", "0,0", "1,0", "--radius", "1"], "radius is a circle's, got 1 for straight"),
        (["circle", "0,0", "1,0"], "a circle needs one point, its centre, got 2"),
        (["circle", "0,0", "--plane", "1", "3"], "plane takes axes from 1 to 2, got (1, 3)"),
        (["circle", "0,0", "--plane", "1", "1"], "two different axes from 1 on, got (1, 1)"),
        (["circle", "0,0", "--radius", "0"], "radius must be positive"),
        (["circle", "0,0", "--steps", "1"], "steps must be at least 2, got 1"),
        (["circle", "0,0", "-o", "cluster7"], "analyze and reconstruct write files of this name"),
        (["circle", "0,0", "-o", "a/b"], "a file of latents must end in .npy"),
    ],
)
def test_a_mistake_gets_one_line_and_no_file(job, capsys, arguments, message):
    assert call("trajectory", job, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not job.trajectories.exists()


def test_what_is_there_is_not_overwritten(job, capsys):
    assert call("trajectory", job, "straight", "0,0", "1,0") == 0
    before = path_of(job, "straight")
    assert call("trajectory", job, "straight", "0,0", "0,1") == 2
    assert "straight.npy: is there already; name another with -o" in capsys.readouterr().err
    assert (path_of(job, "straight") == before).all()


def test_a_path_on_which_nothing_moves_is_spaced_by_latent_if_asked(job, capsys, monkeypatch):
    still = _Arm(SimpleNamespace(latent_size=2))
    monkeypatch.setattr(still, "decode", lambda latent: _Arm.decode(still, 0 * latent))
    monkeypatch.setattr("cryomix.files.training.read_model", lambda path: still)
    assert call("trajectory", job, "straight", "0,0", "1,0") == 2
    assert "got 0 Å; take --spacing latent" in capsys.readouterr().err
    assert call("trajectory", job, "straight", "0,0", "1,0", "--spacing", "latent") == 0


def _frames(movie: Path) -> int:
    with Image.open(movie) as opened:
        return opened.n_frames


def _kinds(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_path_is_drawn(job, tmp_path, capsys):
    assert call("trajectory", job, "straight", "0.2,0", "1,0", "--steps", "3") == 0
    out = tmp_path / "drawn"
    assert call("draw", job, "straight", "-o", out, "--frames", "6", "--scale", "2") == 0
    figures = ["arrows.png", "arrows.svg", "models.gif", "path.png", "path.svg", "run.toml"]
    assert _kinds(out) == figures
    assert _frames(out / "models.gif") == 6
    told = capsys.readouterr().out
    assert "20 arrows from point 1 to 3, up to 32.0 Å" in told  # 0.8 × 40 Å; the core has none
    assert "arrows drawn 2 times as long" in (out / "arrows.svg").read_text()
    model = _Arm(SimpleNamespace()).decode(torch.tensor([[0.0, 0.0]]))[0]
    for number in (1, 2, 3):
        write_volume(job.volumes / f"straight{number:03d}.mrc", render_volume(model, 24, 6.0))
    again = ["--movie", "webp", "--arrows", "density", "--between", "2", "1", "--closed"]
    assert call("draw", job, "straight", "-o", tmp_path / "again", "--frames", "4", *again) == 0
    assert _frames(tmp_path / "again" / "maps.webp") == 3
    told = capsys.readouterr().out
    assert "from point 2 to 1, up to 16.0 Å" in told
    assert "a movie of 4 frames" in told
    assert "3 maps" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curve"], "no trajectory 'curve'; there is none"),
        (["one.npy"], "one.npy: a path needs at least 2 points, got 1"),
        (["two.npy", "--between", "1", "3"], "between takes points from 1 to 2, got 1 3"),
        (["two.npy", "--between", "1", "1"], "two different points from 1 on, got (1, 1)"),
        (["two.npy", "--scale", "0"], "scale must be positive"),
        (["two.npy", "--frames", "1"], "frames must be at least 2, got 1"),
    ],
)
def test_what_cannot_be_drawn_gets_one_line(job, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.save("one.npy", np.zeros((1, 2)))
    np.save("two.npy", np.eye(2))
    assert call("draw", job, *arguments, "-o", "out") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not Path("out").exists()


def test_points_are_decoded_however_they_are_named(job, tmp_path, capsys):
    write_volume(job.neutral_map, render_volume(_Arm.decode(None, torch.zeros(1, 2))[0], 32, 4.0))
    np.save(tmp_path / "more.npy", np.float32([[0.25, 0]]))
    words = ["-0.5,1", "particle:12", "cluster:2", tmp_path / "more.npy"]
    assert call("decode", job, *words, "-o", tmp_path / "models") == 0
    latent = np.load(job.latents)
    expected = [(-0.5, 1), latent[11], latent[400:800].mean(axis=0), (0.25, 0)]
    for number, place in enumerate(expected, start=1):
        model = read_gaussians(tmp_path / "models" / f"state{number:03d}.safetensors")
        np.testing.assert_allclose(model.center[60:].mean(0)[:2], 40 * np.array(place), atol=1e-4)
    record = read_run_record(tmp_path / "models" / "run.toml")
    assert record.options["latents"] == [str(word) for word in words]
    assert call("decode", job, "-o", tmp_path / "none") == 2
    assert "decode needs latents" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_circle_lies_in_the_principal_axes_of_all_particles(job):
    latent = np.load(job.latents)
    latent[:, 0] *= 2
    latent[~np.load(job.informative)] = [0, 40]  # of those that see, the first axis is another
    np.save(job.latents, latent)
    assert call("trajectory", job, "circle", "0,0", "--radius", "1", "--spacing", "latent") == 0
    assert np.abs(path_of(job, "circle")[0]) == pytest.approx([0, 1], abs=0.01)
