"""Jobs on cryoSPARC particles: the same as on RELION's, but for the files of rows."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix import cli
from cryomix.commands.record import read_source
from cryomix.commands.symmetry import expand_particles
from cryomix.files.checkpoint import read_array
from cryomix.files.job import JobFolder
from cryomix.files.mrc import write_stack
from cryomix.files.particle_file import read_particles
from cryomix.files.star import read_star
from cryomix.latent import reduction

SYSTEM = ["--particles", "160", "--box", "24", "--pixel-size", "8", "--snr", "2", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--epochs", "2", "--hidden", "16", "--no-grow"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def table(path):
    return np.load(path, allow_pickle=False)


def write_project(star, project):
    """The particles of a RELION file as cryoSPARC has them; poses and the rest in two files."""
    block = read_star(star).block("particles")
    optics = read_star(star).block("optics")
    count = len(block)
    number = block.floats
    euler = np.stack([number(f"rlnAngle{name}") for name in ("Rot", "Tilt", "Psi")], axis=1)
    origin = np.stack([number("rlnOriginXAngst"), number("rlnOriginYAngst")], axis=1)
    uid = np.random.default_rng(1).integers(1, 2**63, count, dtype=np.uint64)
    posed = np.zeros(count, [
        ("uid", "<u8"), ("alignments3D/split", "<u4"), ("alignments3D/shift", "<f4", (2,)),
        ("alignments3D/pose", "<f4", (3,)), ("alignments3D/psize_A", "<f4"),
    ])  # fmt: skip
    posed["uid"] = uid
    posed["alignments3D/split"] = number("rlnRandomSubset") - 1
    posed["alignments3D/pose"] = Rotation.from_euler("ZYZ", euler, degrees=True).as_rotvec()
    posed["alignments3D/shift"], posed["alignments3D/psize_A"] = origin / 4, 4
    given = np.zeros(count, [
        ("uid", "<u8"), ("blob/path", "S20"), ("blob/idx", "<u4"), ("blob/shape", "<u4", (2,)),
        ("blob/psize_A", "<f4"), ("blob/sign", "<f4"), ("ctf/accel_kv", "<f4"),
        ("ctf/cs_mm", "<f4"), ("ctf/amp_contrast", "<f4"), ("ctf/df1_A", "<f4"),
        ("ctf/df2_A", "<f4"), ("ctf/df_angle_rad", "<f4"), ("ctf/phase_shift_rad", "<f4"),
    ])  # fmt: skip
    given["uid"], given["blob/idx"] = uid, np.arange(count)
    given["blob/path"], given["blob/sign"] = b"J3/extract/a.mrc", -1
    given["blob/shape"], given["blob/psize_A"] = 24, optics.floats("rlnImagePixelSize")[0]
    given["ctf/accel_kv"] = optics.floats("rlnVoltage")[0]
    given["ctf/cs_mm"] = optics.floats("rlnSphericalAberration")[0]
    given["ctf/amp_contrast"] = optics.floats("rlnAmplitudeContrast")[0]
    given["ctf/df1_A"], given["ctf/df2_A"] = number("rlnDefocusU"), number("rlnDefocusV")
    given["ctf/df_angle_rad"] = np.deg2rad(number("rlnDefocusAngle"))
    given["ctf/phase_shift_rad"] = np.deg2rad(number("rlnPhaseShift"))
    images = read_particles(star).images.read(torch.arange(count))
    write_stack(project / "J3" / "extract" / "a.mrc", [-images], 8.0)
    job = project / "J24"
    job.mkdir()
    order = np.random.default_rng(2).permutation(count)
    for name, rows in (("cryosparc_P1_J24_004_particles", posed),
                       ("P1_J24_passthrough_particles", given[order])):  # fmt: skip
        with (job / f"{name}.cs").open("wb") as file:
            np.save(file, rows)
    return job / "cryosparc_P1_J24_004_particles.cs"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """(.cs file, .star file, neutral model) of the same particles."""
    folder = tmp_path_factory.mktemp("cryosparc")
    simulated = folder / "set"
    assert call("simulate", "linear", "-o", simulated, *SYSTEM) == 0
    neutral = folder / "neutral"
    assert call("neutral", simulated / "consensus.mrc", "-o", neutral, "--gaussians", 64) == 0
    star = simulated / "particles.star"
    return write_project(star, folder / "project"), star, neutral


@pytest.fixture(scope="module")
def job(inputs):
    cs, _, neutral = inputs
    job = neutral.with_name("job")
    assert call("train", cs, "--neutral", neutral, "-o", job, *QUICK) == 0
    with pytest.MonkeyPatch.context() as patch:
        # It takes longer than all the rest, and knows nothing of files.
        patch.setattr(reduction, "fit_umap", lambda latent, *_: reduction.fit_pca(latent))
        assert call("analyze", job, "--clusters", 2) == 0
    return job


def test_either_file_means_the_same_particles(inputs):
    cs, star, _ = inputs
    ours, theirs = read_particles(cs), read_particles(star)
    torch.testing.assert_close(ours.poses.rotation, theirs.poses.rotation, atol=2e-6, rtol=0)
    torch.testing.assert_close(ours.poses.shift, theirs.poses.shift, atol=1e-5, rtol=0)
    for name in ("defocus_u", "defocus_v", "defocus_angle_deg", "voltage_kv", "phase_shift_deg"):
        torch.testing.assert_close(getattr(ours.ctf, name), getattr(theirs.ctf, name))
    assert torch.equal(ours.half_set, theirs.half_set)
    index = torch.arange(len(ours))
    assert torch.equal(ours.images.read(index), theirs.images.read(index))


def test_particles_agree_with_their_map(inputs):
    cs, star, _ = inputs
    assert call("check", cs, "--map", star.with_name("consensus.mrc")) == 0


def test_rows_are_written_as_cryosparc_has_them(job, inputs):
    given, written = table(inputs[0]), table(job / "particles.cs")
    assert not (job / "particles.star").exists()
    for name in given.dtype.names:
        assert written[name].tobytes() == given[name].tobytes()
    assert "ctf/df1_A" in written.dtype.names
    latents = read_array(job / "latents.npy")
    np.testing.assert_array_equal(written["cryomix/latent"], latents)
    clusters = read_array(job / "analysis" / "clusters.npy")
    np.testing.assert_array_equal(written["cryomix/cluster"], clusters + 1)


def test_the_latents_are_those_of_the_star_file(job, inputs):
    _, star, neutral = inputs
    other = neutral.with_name("star_job")
    assert call("train", star, "--neutral", neutral, "-o", other, *QUICK) == 0
    ours, theirs = (read_array(folder / "latents.npy")[:, 0] for folder in (job, other))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999


def test_maps_are_rebuilt_from_them(job):
    assert call("reconstruct", job, "--clusters") == 0
    assert (job / "volumes" / "cluster01_half1.mrc").is_file()


def test_a_second_round_goes_on_from_some_of_them(job):
    second = job.with_name("second")
    assert call("train", "--from", job, "--clusters", 1, "-o", second, *QUICK) == 0
    chosen, all_rows = table(second / "selection.cs"), table(job / "particles.cs")
    first = all_rows[all_rows["cryomix/cluster"] == 1]
    np.testing.assert_array_equal(chosen["uid"], first["uid"])
    assert len(table(second / "particles.cs")) == len(first)
    source, particles = read_source(JobFolder(second))
    assert (source, len(particles)) == (second / "selection.cs", len(first))


def test_rows_picked_by_the_user_bring_their_latents(job, inputs):
    picked = inputs[0].with_name("picked.cs")
    rows = table(job / "particles.cs")
    with picked.open("wb") as file:
        np.save(file, rows[::2])
    third = job.with_name("third")
    assert call("train", picked, "--from", job, "-o", third, *QUICK) == 0
    assert len(table(third / "particles.cs")) == 80


def test_refined_poses_come_back_as_a_cs_file(job, inputs, capsys):
    assert call("refine-poses", job, "-o", job.with_name("refined.star")) == 2
    assert "refined.star: the file to write must end in .cs" in capsys.readouterr().err
    out = job.with_name("refined.cs")
    assert call("refine-poses", job, "-o", out) == 0
    given, refined = table(inputs[0]), table(out)
    pose = {"alignments3D/pose", "alignments3D/shift"}
    changed = {name for name in given.dtype.names if (given[name] != refined[name]).any()}
    assert changed <= pose
    assert len(read_particles(out, beside=inputs[0])) == 160


def test_copies_under_a_symmetry_are_a_cs_file(inputs, tmp_path):
    particles = read_particles(inputs[0])
    source, copies = expand_particles(JobFolder(tmp_path), inputs[0], particles, None, "C2")
    assert source == tmp_path / "expanded.cs"
    assert table(source)["sym_expand/idx"].tolist() == [0, 1] * 160
    assert copies.image.unique().tolist() == list(range(0, 320, 2))


def test_a_wrong_sign_is_found(inputs, tmp_path, capsys):
    """Images that nobody multiplied by -1 are dark where the map is bright."""
    cs, star, _ = inputs
    given = next(cs.parent.glob("*passthrough*"))
    wrong = tmp_path / "J24"
    wrong.mkdir()
    (wrong / cs.name).write_bytes(cs.read_bytes())
    rows = table(given)
    rows["blob/sign"] = 1
    with (wrong / given.name).open("wb") as file:
        np.save(file, rows)
    arguments = ["check", wrong / cs.name, "--map", star.with_name("consensus.mrc")]
    assert call(*arguments, "--datadir", cs.parents[1]) == 1
    assert "contrast is inverted" in capsys.readouterr().out


def test_files_of_no_program_are_refused(tmp_path, capsys):
    (tmp_path / "particles.csg").write_text("")
    assert call("train", tmp_path / "particles.csg", "--neutral", "x", "-o", tmp_path / "job") == 2
    assert (
        "particles must be a file of RELION (.star) or cryoSPARC (.cs)" in capsys.readouterr().err
    )
