"""Atoms of Gaussians: what formats can hold, and in which order they come."""

import gemmi
import numpy as np
import pytest
import torch

from cryomix.errors import OutputError
from cryomix.files.pseudo_atoms import amplitude_factors, write_pseudo_atoms
from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.map_frame import MapFrame

FRAME = MapFrame(64, 2.0, (1.0, 2.0, 3.0))


def model_of(gaussians, *, reach=30.0):
    generator = torch.Generator().manual_seed(0)
    return GaussianModel(
        reach * (2 * torch.rand(1, gaussians, 3, generator=generator) - 1),
        torch.rand(1, gaussians, generator=generator),
        torch.full((1, gaussians), 3.0),
    )


@pytest.mark.parametrize("kind", ["cif", "pdb"])
def test_chains_go_on_where_residue_numbers_end(tmp_path, kind):
    models = model_of(20_001)
    path = tmp_path / f"many.{kind}"
    write_pseudo_atoms(path, models, FRAME, amplitude_factors(models))
    structure = gemmi.read_structure(str(path))
    assert [(chain.name, len(chain)) for chain in structure[0]] == [
        ("A", 9999), ("B", 9999), ("C", 3),
    ]  # fmt: skip
    position = np.array([site.atom.pos.tolist() for site in structure[0].all()])
    expected = models.center[0].double().numpy() + np.array([65.0, 66.0, 67.0])
    np.testing.assert_allclose(position, expected, atol=6e-4)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (model_of(100_000), "many.pdb: PDB holds at most 99999 atoms, got 100000: write .cif"),
        (model_of(9, reach=2000.0), "many.pdb: PDB holds coordinates from -999.999 to 10000 Å"),
    ],
)
def test_what_pdb_cannot_hold_is_refused(tmp_path, models, message):
    with pytest.raises(OutputError, match=message):
        write_pseudo_atoms(tmp_path / "many.pdb", models, FRAME, amplitude_factors(models))
    assert not list(tmp_path.iterdir())


def test_mmcif_holds_more_than_pdb(tmp_path):
    models = model_of(100_000, reach=2000.0)
    write_pseudo_atoms(tmp_path / "many.cif", models, FRAME, amplitude_factors(models))
    structure = gemmi.read_structure(str(tmp_path / "many.cif"))
    assert structure[0].count_atom_sites() == 100_000
