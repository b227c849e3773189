import numpy as np
import pytest
import torch

from cryomix.errors import BoxMismatchError, InputFileError
from cryomix.evaluation.truth import at_true_poses, read_states, still_part
from cryomix.geometry.fourier import FourierGrid
from cryomix.geometry.poses import Poses, random_poses


def test_states_are_read_with_their_meaning(states_on_a_line):
    states = read_states(states_on_a_line)
    assert len(states) == 6
    assert states.coordinate["t"] == pytest.approx(np.linspace(0, 1, 6))
    assert states.coordinate["c"].tolist() == [0, 0, 0, 1, 1, 1]
    torch.testing.assert_close(
        states.poses.shift.double(),
        -torch.from_numpy(states_on_a_line["origin"]),
        atol=1e-5,
        rtol=0,
    )
    assert int(still_part(states.model).sum()) == 40


def test_a_truth_without_states_has_none():
    assert read_states({"t": np.zeros(5)}) is None


def test_masses_become_amplitudes(states_on_a_line):
    """Twice the width at the same mass is an eighth of the peak."""
    states_on_a_line["sigma"] = np.where(np.arange(45) == 7, 8.0, 4.0)
    model = read_states(states_on_a_line).model
    assert model.amplitude[0, 7] == pytest.approx(float(model.amplitude[0, 0]) / 8)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("euler", None, "must hold euler, which is missing"),
        ("states", np.zeros((6, 45)), r"states must be of shape .* got \(6, 45\)"),
        ("amps", np.zeros((6, 44)), r"amps must be of shape \(6, 45\), got \(6, 44\)"),
        ("which", np.full(120, 6), "which must be from 0 to 5, got 6"),
        ("sigma", np.array(0.0), "sigma must be positive, got 0"),
        ("euler", np.full((120, 3), np.nan), "euler must be finite"),
        ("t", np.linspace(0, 1, 120), "t must be the same for all particles of one state"),
        ("c", np.zeros(3), r"c must hold one value for each of 120 particles, got \(3,\)"),
    ],
)
def test_a_broken_truth_is_refused(states_on_a_line, name, value, message):
    states_on_a_line[name] = value
    if value is None:
        del states_on_a_line[name]
    with pytest.raises(InputFileError, match=message):
        read_states(states_on_a_line)


def test_a_truth_of_other_particles_is_refused(states_on_a_line, model, poses, make_particles):
    states = read_states(states_on_a_line)
    with pytest.raises(InputFileError, match="of 120 particles, but the job has 5"):
        at_true_poses(make_particles(model, poses, FourierGrid(32, 5.0)), states)
    many = random_poses(120, torch.Generator().manual_seed(0))
    many = Poses(many.rotation.double(), many.shift.double())
    with pytest.raises(BoxMismatchError, match="32 pixels of 5 Å, but the job's have 32 of 4 Å"):
        at_true_poses(make_particles(model, many, FourierGrid(32, 4.0)), states)
