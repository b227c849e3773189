"""Files that RELION and other programs wrote, from the shared inputs."""

import importlib.util
import sys

import gemmi
import mrcfile
import numpy as np
import pytest
import torch

from cryomix.errors import InputFileError, MissingColumnError
from cryomix.files.mrc import find_bad_images, open_stack, read_volume
from cryomix.files.relion import read_particles, read_poses, write_particles
from cryomix.files.star import read_star, write_star
from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.volume import crop_volume, project_volume


@pytest.fixture(scope="module")
def data(shared_folder):
    return shared_folder / "data"


def test_every_star_file_comes_out_as_it_went_in(data, tmp_path):
    files = sorted([*data.glob("metadata/*/*.star"), *data.glob("stacks/*/*.star")])
    assert len(files) >= 20
    for path in files:
        star = read_star(path)
        assert star.blocks
        write_star(tmp_path / "out.star", star)
        content = path.read_bytes()
        assert (tmp_path / "out.star").read_bytes() == content.removesuffix(b"\n") + b"\n"


@pytest.mark.parametrize("quote", ["single", "double"])
def test_quotes_of_the_starfile_package(data, quote):
    folder = data / "metadata" / "star_syntax"
    (pairs,) = read_star(folder / f"basic_{quote}_quote.star").blocks
    labels = ("no_quote_string", "quote_string", "whitespace_string", "empty_string")
    expected = ["noquote", "quote string", " ", ""]
    assert [pairs.column(label)[0] for label in labels] == expected
    (loop,) = read_star(folder / f"loop_{quote}_quote.star").blocks
    assert [loop.column(label)[1] for label in labels] == expected
    assert loop.floats("number").tolist() == [6.0, 7.0]
    assert loop.column("empty_string_and_normal_string") == ["", "test"]


def test_blocks_of_relion_itself(data):
    folder = data / "metadata" / "star_syntax"
    pipeline = read_star(folder / "default_pipeline.star")
    assert len(pipeline.block("pipeline_processes")) == 31
    assert pipeline.block("pipeline_general").floats("rlnPipeLineJobCounter").tolist() == [32.0]
    fsc = read_star(folder / "postprocess.star").block("fsc")
    assert fsc.floats("rlnAngstromResolution")[:3].tolist() == [999.0, 720.0, 360.0]
    assert len(read_star(folder / "empty_loop.star").block("")) == 0


def test_particles_without_poses_are_refused_but_their_images_read(data):
    folder = data / "stacks/empiar10076_7"
    with pytest.raises(MissingColumnError, match="lacks _rlnAngleRot, _rlnAngleTilt, _rlnAngleP"):
        read_particles(folder / "empiar_10076_7.star")
    stack = open_stack(folder / "empiar_10076_7.mrc")
    assert (len(stack), stack.box_size) == (7, 320)
    assert find_bad_images(stack) == []
    with mrcfile.open(folder / "empiar_10076_7.mrc", permissive=True) as file:
        index = torch.tensor([6, 0, 3])
        np.testing.assert_array_equal(stack.read(index).numpy(), file.data[index.numpy()])


def test_real_images_with_poses_added(data, tmp_path):
    """38,168 × and 5 µm make 1.31 Å per pixel; the header does not say."""
    source = data / "stacks/empiar10076_7/empiar_10076_7.star"
    labels = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginX", "rlnOriginY")
    path = tmp_path / "posed.star"
    write_particles(source, path, added={label: np.arange(7.0) for label in labels})
    particles = read_particles(path, data_folder=source.parent)
    assert particles.pixel_size == pytest.approx(1.31, abs=1e-4)
    assert particles.ctf.amplitude_contrast.tolist() == pytest.approx([0.07] * 7)
    assert particles.half_set.tolist() == [1, 2, 1, 2, 1, 2, 1]
    assert particles.images.read(torch.tensor([6])).std() > 0


@pytest.mark.parametrize(("name", "least"), [("centered", 0.9999), ("shifted", 0.995)])
def test_projections_that_relion_made(data, name, least):
    """The shifted images lost what moved out of the box; with the other sign they are unlike."""
    folder = data / "stacks/aspire_relionproj"
    poses = read_poses(folder / f"rln_proj_64_{name}.star")
    images = open_stack(folder / f"rln_proj_64_{name}.mrcs").read(torch.arange(4))
    volume = crop_volume(read_volume(data / "maps/70S_65.mrc", voxel_size=64 / 65), 64)
    assert volume.voxel_size == pytest.approx(1.0)

    def correlation(rotation, shift):
        projection = project_volume(volume, Poses(rotation, shift), FourierGrid(64, 1.0))
        pair = torch.stack([to_real(projection), images]).flatten(2)
        return torch.cosine_similarity(*(pair - pair.mean(-1, keepdim=True)), dim=-1)

    assert correlation(poses.rotation, poses.shift).min() > least
    assert correlation(poses.rotation.mT, poses.shift).max() < 0.5
    if name == "shifted":
        assert poses.shift[0].tolist() == [-6.0, -10.0]
        assert correlation(poses.rotation, -poses.shift).max() < 0.5


def test_particles_of_a_simulator_that_shares_no_code(shared_folder, tmp_path, monkeypatch):
    place = shared_folder / "tools" / "particle_simulator.py"
    spec = importlib.util.spec_from_file_location("particle_simulator", place)
    simulator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(simulator)
    arguments = ["linear", str(tmp_path), "--box", "16", "--apix", "16", "--per-state", "2"]
    monkeypatch.setattr(sys, "argv", ["particle_simulator.py", *arguments])
    simulator.main()
    particles = read_particles(tmp_path / "particles.star")
    truth = np.load(tmp_path / "truth.npz")
    assert (len(particles), particles.pixel_size, particles.box_size) == (40, 16.0, 16)
    expected = [simulator.euler_matrix(*angles) for angles in truth["euler"]]
    np.testing.assert_allclose(particles.poses.rotation, expected, atol=1e-5)
    np.testing.assert_allclose(particles.poses.shift, -truth["origin"], atol=1e-4)
    with mrcfile.open(tmp_path / "particles.mrcs") as file:
        every = torch.arange(40)
        np.testing.assert_array_equal(particles.images.read(every).numpy(), file.data)


OBLIQUE = "cell angles must be 90 degrees, got (90.0, 94.32599639892578, 90.0)"
MAPS = {
    "1ake_64.mrc": (64, 2.0, (-64.0, -64.0, -64.0)),
    "betaGal_100.mrc": (100, 3.54, (0.0, 0.0, 0.0)),
    "emdb/EMD-3197.map": (20, 11.4, (-22.8, 0.0, 0.0)),
    "emdb/emd_3197.map.gz": (20, 11.4, (-22.8, 0.0, 0.0)),
    "70S_65.mrc": "the header gives no voxel size: give it with --pixel-size",
    "groel_1oel_10A.mrc": (116, 1.5, (-130.5, -84.0, -87.0)),
    "emdb/EMD-3001.map": OBLIQUE,
    "emdb/EMD-3001.map.bz2": OBLIQUE,
    "emdb/emd_3001.map.gz": OBLIQUE,
}


@pytest.mark.filterwarnings("ignore:.*is not cubic")
def test_a_model_lies_in_its_map_where_the_origin_says(data):
    """A map of 116 x 114 x 69 voxels, whose origin is not zero."""
    volume = read_volume(data / "maps" / "groel_1oel_10A.mrc")
    atoms = gemmi.read_structure(str(data / "models" / "groel" / "1oel.pdb"))[0].all()
    place = np.array([site.atom.pos.tolist() for site in atoms if site.atom.name == "CA"])
    assert len(place) == 3668
    index = np.rint((place - volume.origin) / volume.voxel_size).astype(int)[:, ::-1]
    density = volume.density.numpy()
    assert ((index >= 0) & (index < density.shape)).all()
    assert density[tuple(index.T)].mean() > 2 * density[density > 0].mean()
    moved = index + np.array([8, 0, 0])
    assert density[tuple(moved.T)].mean() < 0.75 * density[tuple(index.T)].mean()


@pytest.mark.filterwarnings("ignore:.*is not cubic")
def test_every_map_is_read_or_refused_for_a_reason(data):
    folder = data / "maps"
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(MAPS)
    for name, expected in MAPS.items():
        path = folder / name
        if isinstance(expected, str):
            with pytest.raises(InputFileError) as caught:
                read_volume(path)
            assert str(caught.value) == f"{path}: {expected}"
            continue
        volume = read_volume(path)
        box_size, voxel_size, origin = expected
        assert volume.box_size == box_size
        assert volume.voxel_size == pytest.approx(voxel_size)
        assert volume.origin == pytest.approx(origin)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["1ake_64.mrc", "betaGal_100.mrc", "70S_65.mrc"])
def test_densities_are_those_that_mrcfile_reads(data, name):
    path = data / "maps" / name
    with mrcfile.open(path, permissive=True) as file:
        expected = np.array(file.data)
    volume = read_volume(path, voxel_size=2.0)
    assert volume.voxel_size == 2.0
    np.testing.assert_array_equal(volume.density.numpy(), expected)
