"""The state from which a refinement of poses goes on, and its table of rounds."""

import json
from collections.abc import Sequence
from dataclasses import asdict, astuple, fields
from pathlib import Path

from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import read_tensors, write_csv, write_tensors
from cryomix.fitting.descent import part_of
from cryomix.fitting.pose_prior import PosePrior
from cryomix.fitting.pose_rounds import PoseRound, PoseState
from cryomix.geometry.poses import Poses


def write_pose_state(path: Path, state: PoseState) -> None:
    """Write a state whole or not at all."""
    tensors = {f"model.{name}": value for name, value in state.model.items()}
    for kind, poses in (("poses", state.poses), ("best", state.best)):
        tensors |= {f"{kind}.rotation": poses.rotation, f"{kind}.shift": poses.shift}
    told = {
        "rounds": [asdict(done) for done in state.rounds],
        "prior": asdict(state.prior),
        "best_round": state.best_round,
        "is_settled": state.is_settled,
    }
    tensors["best_scores"] = state.best_scores
    write_tensors(path, tensors, {"state": json.dumps(told)})


def read_pose_state(path: Path) -> PoseState:
    """The state that was written last.

    Raises
    ------
    CheckpointError
        If the file is missing, or is no state of a refinement.
    """
    tensors, metadata = read_tensors(path)
    try:
        told = json.loads(metadata["state"])
        poses, best = (
            Poses(tensors[f"{kind}.rotation"], tensors[f"{kind}.shift"])
            for kind in ("poses", "best")
        )
        return PoseState(
            tuple(PoseRound(**done) for done in told["rounds"]),
            poses,
            PosePrior(**told["prior"]),
            best,
            tensors["best_scores"],
            part_of(tensors, "model."),
            int(told["best_round"]),
            bool(told["is_settled"]),
        )
    except KeyError as error:
        raise CheckpointError(f"{path}: not a state of a refinement: it lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: not a state of a refinement: {error}") from error


def write_rounds(path: Path, rounds: Sequence[PoseRound]) -> None:
    """Write what each round changed and gained."""
    write_csv(path, [field.name for field in fields(PoseRound)], map(astuple, rounds))
