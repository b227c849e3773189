"""Motions of domains as a table in JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from cryomix.errors import CheckpointError
from cryomix.files.atomic import write_atomically
from cryomix.latent.localized_path import DomainMotion
from cryomix.latent.screw_motion import ScrewMotion

_VECTORS = ("axis", "hinge")


def write_domain_motions(path: Path, motions: Sequence[DomainMotion]) -> None:
    """Write one entry per domain; places in Å from the box centre, angles in degrees."""
    table = [asdict(motion) for motion in motions]
    for entry in table:
        for name in _VECTORS:
            entry["rigid"][name] = entry["rigid"][name].tolist()
    with write_atomically(path) as file:
        file.write(json.dumps(table, indent=1).encode())


def read_domain_motions(path: Path) -> tuple[DomainMotion, ...]:
    """What `write_domain_motions` wrote; nothing if there is no file.

    Raises
    ------
    CheckpointError
        If it is not such a table.
    """
    if not path.is_file():
        return ()
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        for entry in table:
            for name in _VECTORS:
                entry["rigid"][name] = torch.tensor(entry["rigid"][name], dtype=torch.float64)
        return tuple(
            DomainMotion(**{**entry, "rigid": ScrewMotion(**entry["rigid"])}) for entry in table
        )
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path}: not a table of motions: {error}") from error
