"""A refinement of poses goes on from its file."""

import math

import pytest
import torch

from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import read_csv, write_tensors
from cryomix.files.pose_state import read_pose_state, write_pose_state, write_rounds
from cryomix.fitting.pose_prior import PosePrior
from cryomix.fitting.pose_rounds import PoseRound, PoseState
from cryomix.geometry.poses import random_poses

ROUNDS = (
    PoseRound(0, 10.5, 20.0, 0.0, 0.0, math.nan, math.nan),
    PoseRound(1, 12.5, 25.0, 3.5, 4.5, 3.9, 8.1),
)


@pytest.fixture
def state() -> PoseState:
    generator = torch.Generator().manual_seed(0)
    poses, best = random_poses(4, generator), random_poses(4, generator)
    model = {"encoder.a": torch.ones(2), "decoder.b": torch.zeros(3, 2)}
    return PoseState(ROUNDS, poses, PosePrior(0.07, 8.1), best, torch.rand(3), model, 1, True)


def test_a_state_comes_back(state, tmp_path):
    write_pose_state(tmp_path / "state.safetensors", state)
    again = read_pose_state(tmp_path / "state.safetensors")
    assert again.rounds[1] == ROUNDS[1]
    assert math.isnan(again.rounds[0].prior_deg)
    assert (again.prior, again.best_round, again.is_settled) == (state.prior, 1, True)
    for name in ("poses", "best"):
        for part in ("rotation", "shift"):
            assert torch.equal(
                getattr(getattr(again, name), part), getattr(getattr(state, name), part)
            )
    assert torch.equal(again.best_scores, state.best_scores)
    assert again.model.keys() == state.model.keys()
    assert torch.equal(again.model["encoder.a"], torch.ones(2))


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "state.safetensors"
    write_tensors(path, {"a": torch.ones(1)})
    with pytest.raises(CheckpointError, match="not a state of a refinement: it lacks 'state'"):
        read_pose_state(path)
    with pytest.raises(CheckpointError, match="there is no such file"):
        read_pose_state(tmp_path / "none.safetensors")


def test_the_table_has_a_line_for_each_round(tmp_path):
    write_rounds(tmp_path / "rounds.csv", ROUNDS)
    table = read_csv(tmp_path / "rounds.csv")
    assert table["number"].tolist() == [0, 1]
    assert table["left_out_score"].tolist() == [10.5, 12.5]
    assert table["prior_shift"][1] == 8.1
