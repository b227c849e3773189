"""Jobs on EMAN2 particles: the same as on RELION's, but for the files of rows."""

import json

import h5py
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix import cli
from cryomix.commands.record import read_source
from cryomix.commands.symmetry import expand_particles
from cryomix.errors import MissingColumnError
from cryomix.files.checkpoint import read_array, read_gaussians
from cryomix.files.eman2_gaussians import read_gaussian_text, write_gaussian_text
from cryomix.files.job import JobFolder
from cryomix.files.particle_file import read_latents, read_particles, write_latents
from cryomix.files.star import read_star
from cryomix.geometry.symmetry import point_group
from cryomix.latent import reduction

SYSTEM = ["--particles", "80", "--box", "24", "--pixel-size", "8", "--snr", "2", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--epochs", "2", "--hidden", "16", "--no-grow"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def records(path):
    return [json.loads(line.split("\t")[2]) for line in path.read_text().splitlines()[3:]]


def write_project(star, project):
    """The particles of a RELION file as EMAN2 has them: phases flipped, poses in a list.

    RELION's angles are EMAN2's, az = rot + 90, alt = tilt, phi = psi − 90, about z, x and z.
    """
    block, optics = read_star(star).block("particles"), read_star(star).block("optics")
    number, count = block.floats, len(block)
    size = optics.floats("rlnImagePixelSize")[0]
    euler = np.stack([number(f"rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")], axis=1)
    matrix = np.zeros((count, 3, 4))
    turned = Rotation.from_euler("ZXZ", euler + np.array([90, 0, -90]), degrees=True)
    matrix[:, :, :3] = turned.as_matrix().transpose(0, 2, 1)
    matrix[:, 0, 3] = -number("rlnOriginXAngst") / size
    matrix[:, 1, 3] = -number("rlnOriginYAngst") / size
    given = read_particles(star)
    transfer = _ctf(given.ctf, given.grid)
    images = given.images.read(torch.arange(count)).numpy()
    flipped = np.fft.irfft2(np.fft.rfft2(images) * np.sign(transfer), s=images.shape[1:])
    stack = project / "particles" / "micro__ctf_flip.hdf"
    stack.parent.mkdir(parents=True)
    with h5py.File(stack, "w") as file:
        group = file.create_group("MDF/images")
        group.attrs["imageid_max"] = np.int32(count - 1)
        for row in range(count):
            one = group.create_group(str(row))
            one["image"] = flipped[row].astype("<f4")
            u, v = number("rlnDefocusU")[row], number("rlnDefocusV")[row]
            words = [
                (u + v) / 2e4, (u - v) / 1e4, number("rlnDefocusAngle")[row], 50,
                100 * optics.floats("rlnAmplitudeContrast")[0], optics.floats("rlnVoltage")[0],
                optics.floats("rlnSphericalAberration")[0], size,
            ]  # fmt: skip
            text = "E" + " ".join(f"{word:.8g}" for word in words) + " 0.001 0 0"
            one.attrs["EMAN.ctf"] = np.bytes_(text)
            one.attrs["EMAN.apix_x"] = np.float32(size)
            one.attrs["EMAN.ctf_phase_flipped"] = np.int32(1)
    lines = []
    for row in range(count):
        numbers = ",".join(f"{value:g}" for value in matrix[row].flatten())
        transform = {"__class__": "Transform", "matrix": f"[{numbers}]"}
        values = {"class": int(number("rlnRandomSubset")[row]) - 1, "score": -row / count}
        values = json.dumps(values | {"xform.projection": transform}, separators=(",", ":"))
        lines.append(f"{row}\tparticles/micro__ctf_flip.hdf\t{values}")
    length = max(map(len, lines)) + 5
    listing = project / "sets" / "all.lst"
    listing.parent.mkdir()
    text = "".join(f"{line:<{length - 1}}\n" for line in lines)
    listing.write_text(f"#LSX\n# of mine\n# {length}\n{text}")
    return listing


def _ctf(ctf, grid):
    """RELION's formula, with phases in the corner as of NumPy's transform."""
    k_y = np.fft.fftfreq(grid.box_size, grid.pixel_size)[:, None]
    k_x = np.fft.rfftfreq(grid.box_size, grid.pixel_size)[None]
    square, azimuth = k_x**2 + k_y**2, np.arctan2(k_y, k_x)

    def column(values):
        return values.double().numpy()[:, None, None]

    volt = column(ctf.voltage_kv) * 1e3
    wave = 12.2643247 / np.sqrt(volt * (1 + 0.978466e-6 * volt))
    u, v, angle = (
        column(getattr(ctf, name)) for name in ("defocus_u", "defocus_v", "defocus_angle_deg")
    )
    defocus = (u + v) / 2 + (u - v) / 2 * np.cos(2 * (azimuth - np.deg2rad(angle)))
    phase = np.pi * wave * defocus * square
    phase = phase - np.pi / 2 * column(ctf.spherical_aberration_mm) * 1e7 * wave**3 * square**2
    return np.sin(phase + np.arcsin(column(ctf.amplitude_contrast)))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """(list, star file, neutral model) of the same particles."""
    folder = tmp_path_factory.mktemp("eman2")
    simulated, neutral = folder / "set", folder / "neutral"
    assert call("simulate", "linear", "-o", simulated, *SYSTEM) == 0
    assert call("neutral", simulated / "consensus.mrc", "-o", neutral, "--gaussians", 32) == 0
    star = simulated / "particles.star"
    return write_project(star, folder / "project"), star, neutral


@pytest.fixture(scope="module")
def job(inputs):
    listing, _, neutral = inputs
    job = neutral.with_name("job")
    assert call("train", listing, "--neutral", neutral, "-o", job, *QUICK) == 0
    with pytest.MonkeyPatch.context() as patch:
        # It takes longer than all the rest, and knows nothing of files.
        patch.setattr(reduction, "fit_umap", lambda latent, *_: reduction.fit_pca(latent))
        assert call("analyze", job, "--clusters", 2) == 0
    return job


def test_either_file_means_the_same_particles(inputs):
    listing, star, _ = inputs
    ours, theirs = read_particles(listing), read_particles(star)
    torch.testing.assert_close(ours.poses.rotation, theirs.poses.rotation, atol=3e-6, rtol=0)
    torch.testing.assert_close(ours.poses.shift, theirs.poses.shift, atol=1e-4, rtol=0)
    for name in theirs.ctf.__dataclass_fields__:
        torch.testing.assert_close(getattr(ours.ctf, name), getattr(theirs.ctf, name))
    assert torch.equal(ours.half_set, theirs.half_set)
    assert ours.has_flipped_phases


def test_particles_agree_with_their_map(inputs):
    listing, star, _ = inputs
    assert call("check", listing, "--map", star.with_name("consensus.mrc")) == 0


def test_rows_are_written_with_what_the_list_says(job, inputs):
    given, written = records(inputs[0]), records(job / "particles.lst")
    assert not (job / "particles.star").exists()
    latents = read_array(job / "latents.npy")[:, 0]
    clusters = read_array(job / "analysis" / "clusters.npy") + 1
    for row, values in enumerate(written):
        assert values.pop("cryomixLatent1") == pytest.approx(latents[row], abs=1e-6)
        assert values.pop("cryomixCluster") == clusters[row]
    assert written == given


def test_the_latents_are_those_of_the_star_file(job, inputs):
    _, star, neutral = inputs
    other = neutral.with_name("star_job")
    assert call("train", star, "--neutral", neutral, "-o", other, *QUICK) == 0
    ours, theirs = (read_array(folder / "latents.npy")[:, 0] for folder in (job, other))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99


def test_a_second_round_goes_on_from_some_of_them(job):
    second = job.with_name("second")
    assert call("train", "--from", job, "--clusters", 1, "-o", second, *QUICK) == 0
    first = [values for values in records(job / "particles.lst") if values["cryomixCluster"] == 1]
    assert [values["score"] for values in records(second / "selection.lst")] == [
        values["score"] for values in first
    ]
    source, particles = read_source(JobFolder(second))
    assert (source, len(particles)) == (second / "selection.lst", len(first))


def test_rows_picked_by_the_user_bring_their_latents(job, inputs):
    picked = inputs[0].with_name("picked.lst")
    lines = (job / "particles.lst").read_text().splitlines(keepends=True)
    picked.write_text("".join([*lines[:3], *lines[3::2]]))
    latents = read_array(job / "latents.npy")
    np.testing.assert_allclose(read_latents(picked, 1), latents[::2], atol=1e-6)
    with pytest.raises(MissingColumnError, match="row 1 has no cryomixLatent2"):
        read_latents(picked, 2)


def test_a_selection_is_a_list_for_eman2(job, capsys):
    out = job.with_name("chosen.lst")
    chosen = ["--select", "cluster:2", "--select", "score<-0.5"]
    assert call("export", job, "--to", "star", "-o", job.with_name("a.star"), *chosen) == 2
    assert "write them to a .lst file" in capsys.readouterr().err
    assert call("export", job, "--to", "lst", "-o", out, *chosen) == 0
    expected = [
        values
        for values in records(job / "particles.lst")
        if values["cryomixCluster"] == 2 and values["score"] < -0.5
    ]
    assert records(out) == expected


def test_refined_poses_go_into_a_list(job, capsys):
    assert call("refine-poses", job, "-o", job.with_name("refined.star")) == 2
    assert "refined.star: the file to write must end in .lst" in capsys.readouterr().err


def test_copies_under_a_symmetry_are_a_list(inputs, tmp_path):
    particles = read_particles(inputs[0])
    source, copies = expand_particles(JobFolder(tmp_path), inputs[0], particles, None, "C2")
    assert source == tmp_path / "expanded.lst"
    assert [values["cryomixSymmetryCopy"] for values in records(source)] == [0, 1] * 80
    assert copies.image.unique().tolist() == list(range(0, 160, 2))
    assert torch.equal(copies.half_set, particles.half_set.repeat_interleave(2))
    torch.testing.assert_close(copies.poses.rotation[::2], particles.poses.rotation)
    turned = particles.poses.rotation @ point_group("C2")[1].mT.float()
    torch.testing.assert_close(copies.poses.rotation[1::2], turned)
    torch.testing.assert_close(copies.poses.shift[1::2], particles.poses.shift)


def test_a_stack_with_poses_in_it_gives_a_list(inputs, tmp_path):
    listing, _, _ = inputs
    stack = tmp_path / "particles.hdf"
    stack.write_bytes((listing.parents[1] / "particles" / "micro__ctf_flip.hdf").read_bytes())
    with h5py.File(stack, "r+") as file:
        for row, values in enumerate(records(listing)):
            attributes = file[f"MDF/images/{row}"].attrs
            attributes["EMAN.xform.projection"] = values["xform.projection"]["matrix"]
    out = JobFolder(tmp_path / "job").particles(stack)
    write_latents(stack, out, np.ones((80, 2)), cluster=np.arange(80))
    particles = read_particles(out, beside=stack)
    assert (out.name, len(particles)) == ("particles.lst", 80)
    assert particles.has_flipped_phases
    assert records(out)[7] == {"cryomixLatent1": 1, "cryomixLatent2": 1, "cryomixCluster": 7}


def test_text_of_e2gmm_goes_in_and_out(inputs, tmp_path, capsys):
    listing, _, neutral = inputs
    text, job, out = tmp_path / "model.txt", tmp_path / "job", tmp_path / "models"
    length = 24 * 8.0
    given = read_gaussians(neutral / "gaussians.safetensors")
    write_gaussian_text(text, given, length)
    assert call("train", listing, "--neutral", text, "-o", job, *QUICK, "--resolution", 24) == 0
    np.save(tmp_path / "latents.npy", np.zeros((1, 1)))
    assert call("decode", job, tmp_path / "latents.npy", "-o", out, "--eman2") == 0
    found = read_gaussian_text(out / "state001.txt", length)
    torch.testing.assert_close(found.center, given.center, atol=1e-2, rtol=0)
    torch.testing.assert_close(
        found.amplitude, given.amplitude / given.amplitude.max(), atol=1e-3, rtol=0
    )
    text.write_text("0 0 0 1\n")
    capsys.readouterr()
    assert call("train", listing, "--neutral", text, "-o", tmp_path / "other", *QUICK) == 2
    assert "model.txt: line 1 must hold x, y, z, amplitude" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
