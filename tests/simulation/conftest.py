"""A small molecule with chains, for motions."""

import numpy as np
import pytest

from cryomix.simulation.structure import Structure


@pytest.fixture
def structure():
    """Chain A, residues 1 to 40, is a rod along x; B, 1 to 20, stands on its end; C is a blob."""
    rod = np.stack([np.arange(40.0) * 1.5, np.zeros(40), np.zeros(40)], axis=1)
    arm = np.stack([np.full(20, 60.0), np.arange(20.0) * 1.5, np.arange(20.0)], axis=1)
    blob = np.random.default_rng(1).normal(size=(30, 3)) * 4 + [-10, -12, 5]
    position = np.concatenate([rod, arm, blob])
    return Structure(
        source="model.pdb",
        position=position[None],
        mass=np.tile([6.0, 7.0, 8.0], 30),
        chain=("A",) * 40 + ("B",) * 20 + ("C",) * 30,
        residue=np.concatenate([np.arange(1, 41), np.arange(1, 21), np.arange(-9, 21)]),
        row=np.arange(90),
        rows=90,
    )
