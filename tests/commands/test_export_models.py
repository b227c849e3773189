"""Models of states as atoms and tables: whole, in their place, and readable elsewhere."""

import csv
from pathlib import Path

import gemmi
import mrcfile
import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files.job import JobFolder
from cryomix.files.training import write_model
from cryomix.fitting.trained_model import ModelSettings, TrainedModel
from cryomix.imaging.noise import Spectrum


def export(job: JobFolder, to: str, out, *more: object) -> int:
    return cli.main(["export", str(job.path), "--to", to, "-o", str(out), *map(str, more)])


def table_of(path):
    with path.open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def density_at(table, place):
    """Of the Gaussians of a table, by the formula."""
    position = np.stack([table[axis] for axis in "xyz"], axis=1)
    square = ((place[:, None] - position) ** 2).sum(axis=2)
    return (table["amplitude"] * np.exp(-0.5 * square / table["width"] ** 2)).sum(axis=1)


def voxels_of(path):
    """Places and densities of a map, from its header alone."""
    with mrcfile.open(path) as file:
        origin = np.array([float(file.header.origin[axis]) for axis in "xyz"])
        start = np.array([int(file.header[f"n{axis}start"]) for axis in "xyz"])
        size = float(file.voxel_size.x)
        density = file.data.copy()
    index = np.stack(np.indices(density.shape), axis=-1)[..., ::-1].reshape(-1, 3)
    return (origin if origin.any() else start * size) + index * size, density.ravel()


@pytest.mark.parametrize("has_origin", [True, False])
def test_gaussians_lie_on_the_density_of_the_map(turning_job, tmp_path, has_origin):
    if not has_origin:  # other programs write the start in voxels instead
        with mrcfile.open(turning_job.neutral_map, "r+") as file:
            file.header.origin = (0, 0, 0)
            file.nstart = (7, -3, 5)
    assert export(turning_job, "csv", tmp_path / "neutral.csv") == 0
    place, density = voxels_of(turning_job.neutral_map)
    some = np.random.default_rng(0).permutation(len(place))[:400]
    found = density_at(table_of(tmp_path / "neutral.csv"), place[some])
    np.testing.assert_allclose(found, density[some], atol=2e-3)
    assert density[some].max() > 0.5


@pytest.mark.parametrize("kind", ["cif", "pdb"])
def test_a_path_is_one_model_per_point(turning_job, turning_arm, tmp_path, kind, capsys):
    out = tmp_path / f"turn.{kind}"
    assert export(turning_job, kind, out, "--along", "turn") == 0
    assert "5 models of 160 Gaussians (turn)" in capsys.readouterr().out
    structure = gemmi.read_structure(str(out))
    assert len(structure) == 5
    export(turning_job, "csv", tmp_path / "turn.csv", "--along", "turn")
    table = table_of(tmp_path / "turn.csv")
    for number, model in enumerate(structure, start=1):
        atoms = [site.atom for site in model.all()]
        here = table["state"] == number
        position = np.stack([table[axis][here] for axis in "xyz"], axis=1)
        np.testing.assert_allclose([atom.pos.tolist() for atom in atoms], position, atol=6e-4)
        largest = table["amplitude"].max()
        factor = 100 * table["amplitude"][here] / largest
        np.testing.assert_allclose([atom.b_iso for atom in atoms], factor, atol=0.006)
        assert {atom.occ for atom in atoms} == {1.0}
    assert [len(model) for model in structure] == [1] * 5
    assert structure[0][0][159].seqid.num == 160


def test_displacements_are_b_factors_and_fading_is_occupancy(turning_job, tmp_path):
    np.save(tmp_path / "fade.npy", [[0.0, 0.0], [0.5, 0.75]])
    out = tmp_path / "fade.cif"
    more = ("--at", tmp_path / "fade.npy", "--b-factor", "displacement")
    assert export(turning_job, "cif", out, *more) == 0
    structure = gemmi.read_structure(str(out))  # which owns the atoms
    first, second = ([site.atom for site in model.all()] for model in structure)
    assert {atom.b_iso for atom in first} == {0.0}
    moved = [a.pos.dist(b.pos) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose([atom.b_iso for atom in second], moved, atol=3e-3)
    assert max(moved[:80]) == 0
    assert min(moved[80:]) > 1
    np.testing.assert_allclose([atom.occ for atom in second], [1.0] * 80 + [0.25] * 80, atol=1e-4)


def test_clusters_are_their_mean_latents(turning_job, turning_arm, tmp_path):
    out = tmp_path / "clusters.csv"
    assert export(turning_job, "csv", out, "--clusters") == 0
    table = table_of(out)
    assert sorted(set(table["state"])) == [1, 2]
    way = np.stack([table[f"displacement_{axis}"][table["state"] == 2] for axis in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), table["displacement"][160:], atol=1e-5)
    arm = turning_arm.neutral.center[80:].numpy() - [6, 0, 0]
    chord = 2 * np.sin(0.6) * np.linalg.norm(arm[:, :2], axis=1)
    np.testing.assert_allclose(table["displacement"][240:], chord, rtol=1e-4)


def test_a_trained_model_is_decoded_as_training_does(turning_job, turning_arm, monkeypatch):
    monkeypatch.undo()
    torch.manual_seed(1)
    varied = ("centers", "amplitudes", "widths")
    settings = ModelSettings(32, 4.0, 12.0, 4.5, 2, 16, "snr", varied, "shared")
    spectrum = Spectrum(*torch.ones(3, settings.grid.n_rings), torch.ones(()))
    model = TrainedModel(settings, turning_arm.neutral, spectrum)
    write_model(turning_job.model, model)
    latent = torch.tensor([[0.0, 0.0], [0.4, -0.9]])
    at = turning_job.path / "at.npy"
    np.save(at, latent.numpy())
    assert export(turning_job, "csv", at.with_suffix(".csv"), "--at", at) == 0
    table = table_of(at.with_suffix(".csv"))
    decoded = model.decode(latent)
    np.testing.assert_allclose(table["amplitude"], decoded.amplitude.flatten(), atol=1e-6)
    moved = (decoded.center[1] - decoded.center[0]).norm(dim=1)
    np.testing.assert_allclose(table["displacement"][160:], moved, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cif", "a.cif", "--along", "nowhere"], "no trajectory 'nowhere'; there is turn"),
        (["cif", "a.cif", "--along", "turn", "--clusters"], "one of along, at and clusters"),
        (["cif", "a.pdb"], "a.pdb: a file of --to cif must end in .cif"),
        (["cif", "a.cif", "--at", "none.npy"], "none.npy"),
        (["cif", "a.cif", "--b-factor", "displacement"], "needs several states, got one"),
        (["cif", "a.cif", "--select", "cluster:1"], "--select: chooses particles"),
        (["star", "a.star", "--along", "turn"], "--to star: writes particles"),
        (["csv", "there.csv"], "there.csv: there is such a file already"),
    ],
)
def test_a_mistake_in_states_gets_one_line(
    turning_job, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("mine")
    assert export(turning_job, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["job", "there.csv"]
    assert Path("there.csv").read_text() == "mine"
