"""A folder for ChimeraX: commands that it knows, files that are there, arrows that are right."""

import shutil

import mrcfile
import numpy as np
import pytest
import torch
from chimerax_scripts import Session, read_bild
from turning_arms import BOX, HINGE, MIDDLE, ORIGIN, VOXEL, trace, turned

from cryomix import cli
from cryomix.files.domain_motions import write_domain_motions
from cryomix.files.mrc import read_volume, write_volume
from cryomix.imaging.gaussians import render_volume
from cryomix.imaging.volume import Volume
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion

STEPS = np.linspace(-0.6, 0.6, 5)


def export(job, out, *more):
    return cli.main([*map(str, ["export", job.path, "--to", "chimerax", "-o", out, *more])])


def distance_to_line(place, start, end):
    way = (end - start) / np.linalg.norm(end - start)
    return np.linalg.norm(np.cross(place - start, way))


@pytest.fixture
def scene(turning_job, tmp_path):
    assert export(turning_job, tmp_path / "scene", "--along", "turn") == 0
    return tmp_path / "scene"


def test_scripts_hold_what_chimerax_knows_and_can_be_moved(scene, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.move(scene, moved)
    session = Session()
    session.run(moved / "show.cxc")
    assert [path.name for path in session.models[1]] == [
        f"state{number:03d}.mrc" for number in range(1, 6)
    ]
    assert session.models[2] == [moved / "arrows.bild"]
    assert session.views == {"cryomix"}
    assert session.played[-1] == "vseries play"
    session.run(moved / "morph.cxc")
    steps = session.values["volume morph"]
    assert int(steps["frames"]) * float(steps["playStep"]) == pytest.approx(2, rel=0.01)


def test_the_contour_encloses_the_molecule(scene):
    session = Session()
    session.run(scene / "show.cxc")
    level = float(session.values["volume"]["level"])
    for file in session.models[1]:
        density = read_volume(file).density
        inside = density > level
        assert 0.005 < inside.double().mean() < 0.05
        assert density[inside].sum() / density.sum() == pytest.approx(0.8, abs=0.08)


def test_maps_are_the_models_in_the_frame_of_the_job(scene, turning_arm):
    with mrcfile.open(scene / "maps" / "state005.mrc") as file:
        assert [float(file.header.origin[axis]) for axis in "xyz"] == list(ORIGIN)
        assert float(file.voxel_size.x) == VOXEL
        expected = render_volume(turning_arm.decode(torch.tensor([[0.6, 0.0]]))[0], BOX, VOXEL)
        np.testing.assert_allclose(file.data, expected.density, atol=1e-5)


def test_arrows_go_with_the_arm(scene):
    start, end, color = read_bild(scene / "arrows.bild")
    arm = turned(trace(1), -0.6) + MIDDLE
    nearest = np.linalg.norm(start[:, None] - arm, axis=2).argmin(axis=1)
    truth = (turned(trace(1), 0.6) - turned(trace(1), -0.6))[nearest]
    way = end - start
    assert np.linalg.norm(start - arm[nearest], axis=1).max() < 4  # none on the core
    error = np.linalg.norm(way - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert np.median(error) < 0.2
    length = np.linalg.norm(way, axis=1)
    darkness = color.sum(axis=1)
    assert darkness[length.argmax()] == darkness.min()


def test_arrows_between_two_states_and_longer(scene, turning_job, tmp_path, capsys):
    longer = tmp_path / "longer"
    assert export(turning_job, longer, "--along", "turn", "--scale", "2", "--between", 5, 3) == 0
    assert "arrows from state 5 to 3" in capsys.readouterr().out
    start, end, _ = read_bild(longer / "arrows.bild")
    arm = turned(trace(1), 0.6) + MIDDLE
    nearest = np.linalg.norm(start[:, None] - arm, axis=2).argmin(axis=1)
    truth = 2 * (trace(1) - turned(trace(1), 0.6))[nearest]
    error = np.linalg.norm(end - start - truth, axis=1) / np.linalg.norm(truth, axis=1)
    assert np.median(error) < 0.2


def test_maps_rebuilt_from_particles_are_taken_where_all_are_there(turning_job, tmp_path, capsys):
    for number in (1, 2):
        density = torch.rand(BOX, BOX, BOX, generator=torch.Generator().manual_seed(number))
        write_volume(
            turning_job.volumes / f"cluster{number:02d}.mrc", Volume(density, VOXEL, ORIGIN)
        )
    assert export(turning_job, tmp_path / "scene", "--clusters") == 0
    assert "2 maps rebuilt from particles (clusters)" in capsys.readouterr().out
    for number in (1, 2):
        written = tmp_path / "scene" / "maps" / f"state{number:03d}.mrc"
        source = turning_job.volumes / f"cluster{number:02d}.mrc"
        assert torch.equal(read_volume(written).density, read_volume(source).density)
    Session().run(tmp_path / "scene" / "show.cxc")


def test_axes_of_domains_that_surely_turn(turning_job, tmp_path):
    def motion(name, angle, error):
        axis, hinge = torch.tensor([0.0, 0, 1]), torch.from_numpy(HINGE)
        screw = ScrewMotion(angle, error, axis.double(), 2.0, hinge, 0.0, 0.1, 20.0, 0.95)
        return DomainMotion(name, 80, 5.0, 0.1, 0.99, screw)

    write_domain_motions(
        turning_job.domain_motions, [motion("arm", 68.0, 3.0), motion("core", 5.0, 4.0)]
    )
    assert export(turning_job, tmp_path / "scene", "--along", "turn") == 0
    session = Session()
    session.run(tmp_path / "scene" / "show.cxc")
    assert session.models[3] == [tmp_path / "scene" / "axes.bild"]
    start, end, _ = read_bild(tmp_path / "scene" / "axes.bild")
    assert len(start) == 1
    assert distance_to_line(HINGE + MIDDLE, start[0], end[0]) < 0.01
    np.testing.assert_allclose((end - start)[0] / np.linalg.norm(end - start), [0, 0, 1], atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs 2 states or more"),
        (["--along", "turn", "--between", "1", "6"], "--between: takes states 1 to 5, got 1 6"),
        (["--along", "turn", "--between", "2", "2"], "two different states from 1 on"),
        (["--along", "turn", "--scale", "0"], "scale must be positive"),
        (["--along", "turn", "--atoms", "a.pdb"], "--atoms, --b-factor: are of --to cif and pdb"),
    ],
)
def test_a_mistake_in_a_scene_gets_one_line(turning_job, tmp_path, capsys, arguments, message):
    assert export(turning_job, tmp_path / "scene", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / "scene").exists()


def test_a_folder_that_is_there_is_left_alone(turning_job, tmp_path, capsys):
    (tmp_path / "scene").mkdir()
    assert export(turning_job, tmp_path / "scene", "--along", "turn") == 2
    assert "there is such a file already" in capsys.readouterr().err
    assert not list((tmp_path / "scene").iterdir())
