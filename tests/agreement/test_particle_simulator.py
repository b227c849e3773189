"""Simulated molecules and images agree with a simulator that shares no code."""

import importlib.util
import math

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.errors import DataWarning
from cryomix.files.dcd import open_dcd
from cryomix.files.mrc import read_volume
from cryomix.files.relion import read_particles
from cryomix.files.structure import read_structure
from cryomix.files.truth import read_truth
from cryomix.geometry.fourier import to_fourier
from cryomix.imaging.correlation import shell_correlation
from cryomix.imaging.volume import Volume
from cryomix.options import MotionOptions
from cryomix.simulation.atomic_model import move_frames

TURN = "rotate /H:1-230/L by 360 about /H:230"
STATES, BOX, PIXEL = 8, 64, 4.6


@pytest.fixture(scope="module")
def simulator(shared_folder):
    path = shared_folder / "tools" / "particle_simulator.py"
    if not path.is_file():
        pytest.skip(reason=f"no {path}")
    spec = importlib.util.spec_from_file_location("particle_simulator", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def antibody(shared_folder):
    path = shared_folder / "data" / "models" / "igg" / "1hzh.pdb"
    if not path.is_file():
        pytest.skip(reason=f"no {path}")
    return path


@pytest.fixture(scope="module")
def folder(antibody, tmp_path_factory):
    folder = tmp_path_factory.mktemp("igg") / "out"
    arguments = ["--motion", TURN, "--states", STATES, "-o", folder, "--particles", 40,
                 "--box", BOX, "--pixel-size", PIXEL, "--snr", 1e6]  # fmt: skip
    assert cli.main(["simulate", str(antibody), *map(str, arguments)]) == 0
    return folder


@pytest.fixture(scope="module")
def theirs(simulator, antibody):
    """Their states, from the angle where ours begin: theirs begin half a turn before."""
    states, masses, _, moving = simulator.igg(str(antibody), STATES, 0.8 * PIXEL)
    half = STATES // 2
    return states[half:] + states[:half], masses, moving


def test_an_antibody_turns_as_theirs_does(folder, theirs):
    truth = read_truth(folder / "truth.npz")
    states, masses, moving = theirs
    assert truth["states"].shape == (STATES, *states[0].shape)
    assert truth["states"] == pytest.approx(np.stack(states), abs=1e-3)
    assert truth["amps"] == pytest.approx(np.stack(masses), rel=1e-5)
    assert np.array_equal(truth["moving"], moving)
    assert bool(truth["cyclic"])


def test_the_consensus_is_theirs(folder, simulator, theirs):
    states, masses, _ = theirs
    width = np.full(len(states[0]), 0.6 * 0.8 * PIXEL)
    density = sum(
        simulator.volume(state, mass, width, BOX, PIXEL)
        for state, mass in zip(states, masses, strict=True)
    )
    other = Volume(torch.from_numpy(density), PIXEL)
    correlation = shell_correlation(read_volume(folder / "consensus.mrc"), other)
    assert correlation[1 : int(BOX * PIXEL / 12) + 1].min() > 0.999


def test_images_are_theirs(folder, simulator):
    """The same beads, poses and CTF through their projection: no noise, an unknown scale."""
    truth, particles = read_truth(folder / "truth.npz"), read_particles(folder / "particles.star")
    index = torch.arange(10)
    image_ft = to_fourier(particles.images.read(index)).numpy()
    ctf = particles.ctf
    for row in index.tolist():
        state = truth["which"][row]
        width = np.full(truth["states"].shape[1], float(truth["sigma"]))
        rotation = simulator.euler_matrix(*truth["euler"][row])
        expected = simulator.project(
            truth["states"][state], truth["amps"][state], width, rotation, truth["origin"][row],
            BOX, PIXEL,
        )  # fmt: skip
        defocus = (ctf.defocus_u[row], ctf.defocus_v[row], ctf.defocus_angle_deg[row])
        expected = expected * simulator.ctf2d(BOX, PIXEL, *map(float, defocus))
        centred = np.fft.rfft2(np.fft.ifftshift(np.fft.irfft2(expected, s=(BOX, BOX))))
        inside = simulator_radius(BOX) < 0.9 * BOX / 2
        inside[0, 0] = False  # images have mean zero together
        first, second = image_ft[row][inside], centred[inside]
        cross = (first * second.conj()).sum().real
        norms = (np.abs(first) ** 2).sum() * (np.abs(second) ** 2).sum()
        assert cross / math.sqrt(norms) > 0.99999


def simulator_radius(box):
    return np.hypot(np.fft.fftfreq(box)[:, None] * box, np.fft.rfftfreq(box) * box)


def test_adenylate_kinase_closes(shared_folder):
    """Frames run between the two structures that are published beside them."""
    folder = shared_folder / "data" / "models" / "adk"
    if not folder.is_dir():
        pytest.skip(reason=f"no {folder}")
    opened, closed = (read_structure(folder / f"adk_{name}.pdb") for name in ("open", "closed"))
    assert sorted(set(opened.mass.tolist())) == [6, 7, 8, 16]
    assert len(opened) == 1656  # heavy atoms of 214 residues
    with pytest.warns(DataWarning, match="its 98 frames are used"):
        trajectory = open_dcd(folder / "adk_dims.dcd")
    assert (trajectory.frames, trajectory.atoms) == (98, opened.rows)
    frames = trajectory.read(np.arange(98))[:, opened.row].astype(float)

    apart = distance(opened.position[0], closed.position[0])
    from_open = np.array([distance(frame, opened.position[0]) for frame in frames])
    from_closed = np.array([distance(frame, closed.position[0]) for frame in frames])
    assert 6 < apart < 8
    first, last = (from_closed, from_open) if from_closed[0] < 2 else (from_open, from_closed)
    assert first[0] < 1.5
    assert last[-1] < 1.5
    assert first[-1] == pytest.approx(apart, abs=1)
    assert (np.diff(first[::7]) > 0).all()

    molecule = move_frames(opened, frames, MotionOptions(superpose=True), 4.0)
    center = molecule.states.center.numpy().astype(float)
    mass = molecule.states.amplitude[0].numpy()
    beads = np.sqrt((((center[-1] - center[0]) ** 2).sum(-1) * mass).sum() / mass.sum())
    assert beads == pytest.approx(distance(frames[-1], frames[0]), rel=0.1)
    assert 0.2 < len(molecule.moving) / center.shape[1] < 1


def distance(first, second):
    """Root mean square distance after the best superposition, Å."""
    first, second = first - first.mean(0), second - second.mean(0)
    left, singular, right = np.linalg.svd(first.T @ second)
    singular[-1] *= np.sign(np.linalg.det(left @ right))
    total = (first**2).sum() + (second**2).sum() - 2 * singular.sum()
    return math.sqrt(max(total, 0) / len(first))
