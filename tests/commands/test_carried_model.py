"""An atomic model follows the density to other states, and its bonds stay whole."""

import warnings

import gemmi
import numpy as np
import pytest
from turning_arms import write_atoms

from cryomix import cli
from cryomix.errors import DataWarning

STEPS = np.linspace(-0.6, 0.6, 5)
ARM = slice(480, 960)  # six atoms in each of 80 residues, of two chains


def export(job, out, *more):
    arguments = ["export", job.path, "--to", out.suffix[1:], "-o", out, *more]
    return cli.main([*map(str, arguments)])


def positions_of(path):
    structure = gemmi.read_structure(str(path))
    return np.array([[site.atom.pos.tolist() for site in model.all()] for model in structure])


def bond_lengths(source, places):
    """By gemmi's neighbour search in the model that was given."""
    structure = gemmi.read_structure(str(source))
    for chain in structure[0]:
        assert len(chain) == 80
    here = positions_of(source)[0]
    pairs = [
        (first, second)
        for first in range(len(here))
        for second in range(first + 1, min(first + 12, len(here)))
        if np.linalg.norm(here[first] - here[second]) < 1.7
    ]
    assert len(pairs) > 700
    first, second = np.array(pairs).T
    return np.linalg.norm(places[..., first, :] - places[..., second, :], axis=-1)


@pytest.mark.parametrize(("kind", "start"), [("cif", 0), ("pdb", 2)])
def test_atoms_go_with_the_arm_and_bonds_stay(turning_job, tmp_path, capsys, kind, start):
    source = write_atoms(tmp_path / f"model.{kind}", STEPS[start])
    out = tmp_path / f"carried.{kind}"
    assert export(turning_job, out, "--atoms", source, "--along", "turn") == 0
    carried = positions_of(out)
    assert carried.shape == (5, 960, 3)
    here = positions_of(source)[0]
    np.testing.assert_allclose(carried[start], here, atol=2e-3)
    for angle, places in zip(STEPS, carried, strict=True):
        truth = positions_of(write_atoms(tmp_path / "truth.pdb", angle))[0]
        off, way = (np.sqrt(((one - truth)[ARM] ** 2).sum(axis=1).mean()) for one in (places, here))
        assert off < 0.15 * way + 0.01
        assert np.abs((places - truth)[: ARM.start]).max() < 0.05
    changed = np.abs(bond_lengths(source, carried) - bond_lengths(source, here))
    assert changed.max() < 0.1
    given, written = (gemmi.read_structure(str(path)) for path in (source, out))
    for was, now in zip(given[0].all(), written[-1].all(), strict=True):
        assert str(was.residue) == str(now.residue)
        assert was.atom.name == now.atom.name
        assert was.atom.b_iso == now.atom.b_iso


def test_states_without_order_are_reached_straight(turning_job, tmp_path, capsys):
    source = write_atoms(tmp_path / "model.cif", 0.0)
    assert export(turning_job, tmp_path / "out.cif", "--atoms", source, "--clusters") == 0
    assert "2 models of 960 atoms (clusters), carried from the neutral" in capsys.readouterr().out
    carried = positions_of(tmp_path / "out.cif")
    for angle, places in zip((-0.6, 0.6), carried, strict=True):
        truth = positions_of(write_atoms(tmp_path / "truth.pdb", angle))[0]
        assert np.sqrt(((places - truth)[ARM] ** 2).sum(axis=1).mean()) < 3


def test_a_model_that_lies_elsewhere_is_refused(turning_job, tmp_path, capsys):
    source = write_atoms(tmp_path / "model.cif", 0.0, shift=64.0)
    assert export(turning_job, tmp_path / "out.cif", "--atoms", source, "--clusters") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "of its atoms lie on the density of this job" in error
    assert not (tmp_path / "out.cif").exists()


def test_a_model_that_is_a_little_off_is_told(turning_job, tmp_path, capsys):
    source = write_atoms(tmp_path / "model.cif", 0.0, shift=9.0)
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        assert export(turning_job, tmp_path / "out.cif", "--atoms", source, "--clusters") == 0
    assert "was it fitted into the job's maps" in capsys.readouterr().err


def test_occupancies_left_at_zero_do_not_count(turning_job, tmp_path):
    source = write_atoms(tmp_path / "model.cif", 0.0, occupancy=0.0)
    assert export(turning_job, tmp_path / "out.cif", "--atoms", source, "--clusters") == 0


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("out.csv", ["--atoms", "model.cif", "--clusters"], "--atoms: are written as cif or pdb"),
        ("out.cif", ["--atoms", "model.cif"], "--atoms: need states to be carried to"),
        ("out.cif", ["--atoms", "none.cif", "--clusters"], "none.cif: cannot be read"),
        ("out.cif", ["--atoms", "empty.cif", "--clusters"], "empty.cif"),
    ],
)
def test_a_mistake_in_atoms_gets_one_line(
    turning_job, tmp_path, monkeypatch, capsys, name, arguments, message
):
    monkeypatch.chdir(tmp_path)
    write_atoms(tmp_path / "model.cif", 0.0)
    (tmp_path / "empty.cif").write_text("data_empty\n")
    assert export(turning_job, tmp_path / name, *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not (tmp_path / name).exists()
