"""Beads follow their atoms, and states say what varies."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryomix.errors import InputFileError, OptionError
from cryomix.geometry.fourier import FourierGrid
from cryomix.imaging.gaussians import render_volume, select_inside
from cryomix.imaging.volume import Volume, crop_volume
from cryomix.options import MotionOptions, SimulationOptions
from cryomix.simulation import observe_molecule
from cryomix.simulation.atomic_model import choose_frames, move_frames, move_model, still_model
from cryomix.simulation.molecule import mean_volume, moving_region

PIXEL = 4.0


def options(*motion, **knobs):
    return MotionOptions(motion=motion, **knobs)


def center_of_mass(molecule, beads):
    part = molecule.states.subset(beads)
    return (part.center * part.amplitude[..., None]).sum(1) / part.amplitude.sum(1)[:, None]


def test_beads_have_the_mass_and_the_centre_of_their_atoms(structure):
    molecule = move_model(structure, options("shift /B by 0,0,9", states=4), PIXEL)
    atoms, mass = structure.position[0], structure.mass
    assert molecule.states.amplitude.sum(-1).tolist() == pytest.approx([mass.sum()] * 4)
    moved = torch.from_numpy(
        np.average(atoms[40:60], axis=0, weights=mass[40:60]) - np.array(molecule.place)
    ).float()
    way = torch.tensor([0.0, 0.0, 9.0]) * molecule.coordinate[:, None]
    torch.testing.assert_close(center_of_mass(molecule, molecule.moving), moved + way)
    assert molecule.width == pytest.approx(0.6 * 0.8 * PIXEL)
    assert molecule.place == pytest.approx(np.average(atoms, axis=0, weights=mass))


def test_a_still_model_is_centred_or_lies_where_it_is_told(structure):
    mean = np.average(structure.position[0], axis=0, weights=structure.mass)
    centred = still_model(structure, PIXEL)
    assert len(centred.states.center) == 1
    everything = torch.arange(len(centred.states))
    assert center_of_mass(centred, everything)[0].tolist() == pytest.approx([0] * 3, abs=1e-3)
    assert centred.place == pytest.approx(mean)
    placed = still_model(structure, PIXEL, (10.0, -5.0, 2.0))
    there = center_of_mass(placed, torch.arange(len(placed.states)))[0].tolist()
    assert there == pytest.approx(mean - [10, -5, 2], abs=1e-3)


def test_an_ensemble_that_stays_is_the_mean_of_its_models(structure):
    other = structure.position[0] + np.array([6.0, 0, 0], np.float32)
    ensemble = replace(structure, position=np.stack([structure.position[0], other]))
    both = still_model(ensemble, PIXEL, (0.0, 0.0, 0.0))
    grid = FourierGrid(32, PIXEL)
    mean = mean_volume(both, grid).density
    single = [
        mean_volume(replace(both, states=both.states[i : i + 1], coordinate=torch.zeros(1)), grid)
        for i in range(2)
    ]
    torch.testing.assert_close(mean, (single[0].density + single[1].density) / 2)
    step = both.states.center[1] - both.states.center[0]
    torch.testing.assert_close(step, torch.tensor([6.0, 0, 0]).expand_as(step), atol=1e-4, rtol=0)


def test_only_the_moved_part_moves(structure):
    molecule = move_model(structure, options("rotate /B by 80 about /B:1", states=5), PIXEL)
    still = torch.ones(len(molecule.states), dtype=torch.bool)
    still[molecule.moving] = False
    step = molecule.states.center[1:] - molecule.states.center[:-1]
    assert step[:, still].abs().max() == 0
    assert step[:, molecule.moving].norm(dim=-1).max() > 3
    assert not molecule.cyclic


def test_two_motions_do_not_depend_on_each_other(structure):
    two = options("shift /B by 0,0,9", "shift /C by 5,0,0", states=3)
    molecule = move_model(structure, two, PIXEL)
    assert molecule.coordinate.tolist() == [0, 0, 0, 0.5, 0.5, 0.5, 1, 1, 1]
    assert molecule.second_coordinate.tolist() == [0, 0.5, 1] * 3
    way = molecule.states.center - molecule.states.center[0]
    assert way[8, molecule.moving].abs().sum(-1).round(decimals=3).unique().tolist() == [5, 9]
    assert way[2, :, 2].abs().max() == 0
    assert way[6, :, 0].abs().max() == 0


def test_half_of_the_states_lack_what_is_removed(structure):
    molecule = move_model(structure, options("shift /B by 0,0,9", states=3, without="/C"), PIXEL)
    assert molecule.has_ligand.tolist() == [0, 0, 0, 1, 1, 1]
    assert molecule.coordinate.tolist() == [0, 0.5, 1] * 2
    mass = molecule.states.amplitude.sum(-1)
    whole, removed = structure.mass.sum(), structure.mass[60:].sum()
    assert mass.tolist() == pytest.approx([whole - removed] * 3 + [whole] * 3)
    torch.testing.assert_close(molecule.states.center[:3], molecule.states.center[3:])


def test_composition_alone_varies_where_the_part_is(structure):
    molecule = move_model(structure, options(without="/C"), PIXEL)
    assert molecule.has_ligand.tolist() == [0, 1]
    assert molecule.coordinate.tolist() == [0, 0]
    assert (molecule.states.amplitude[0] == 0).nonzero().flatten().tolist() == (
        molecule.moving.tolist()
    )


def test_frames_come_in_their_order(structure):
    way = np.linspace(0, 8, 5)[:, None, None] * np.array([0.0, 1.0, 0.0])
    frames = structure.position + way * (np.arange(90) >= 60)[:, None]
    molecule = move_frames(structure, frames, MotionOptions(), PIXEL)
    assert molecule.coordinate.tolist() == [0, 0.25, 0.5, 0.75, 1]
    step = center_of_mass(molecule, molecule.moving).diff(dim=0)
    torch.testing.assert_close(step, torch.tensor([[0.0, 2.0, 0.0]]).expand(4, 3))
    mass = molecule.states.amplitude[0, molecule.moving].sum()
    assert mass.item() == pytest.approx(structure.mass[60:].sum(), rel=0.05)


def test_superposed_frames_have_lost_their_tumbling(structure):
    turns = Rotation.random(4, random_state=2)
    frames = np.stack([turn.apply(structure.position[0]) + 30 for turn in turns])
    still = move_frames(structure, frames, MotionOptions(superpose=True), PIXEL).states.center
    torch.testing.assert_close(still, still[:1].expand_as(still), atol=1e-3, rtol=0)
    tumbling = move_frames(structure, frames, MotionOptions(), PIXEL).states.center
    assert (tumbling - tumbling[:1]).abs().max() > 10


def test_maps_are_those_of_the_dense_sum(structure):
    molecule = move_model(structure, options("shift /B by 0,0,9", states=3, without="/C"), PIXEL)
    grid = FourierGrid(33, PIXEL)
    fine = sum(render_volume(molecule.states[i], 99, PIXEL / 3).density for i in range(6)) / 6
    dense = crop_volume(Volume(fine, PIXEL / 3), 33).density
    consensus = mean_volume(molecule, grid)
    torch.testing.assert_close(consensus.density, dense, atol=2e-3 * dense.max().item(), rtol=0)
    mask = moving_region(molecule, grid)
    for state in (0, 2):
        inside = select_inside(molecule.states[state], mask)
        assert inside[molecule.moving].float().mean() > 0.9
        assert inside.float().mean() < 0.6
    origin = np.array(consensus.origin) + 16 * PIXEL
    assert origin == pytest.approx(np.array(molecule.place))


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({}, "something must vary"),
        ({"motion": ("shift /A,B by 1,0,0", "shift /B by 1,0,0")}, "got 20 in both"),
        (
            {"motion": ("shift /B by 1,0,0", "rotate /C by 360 about 0,0,1")},
            "both be full turns or neither",
        ),
        ({"without": "/C", "states": 3}, "--states 3: needs a motion or frames, got neither"),
        (
            {"motion": ("shift /B by 1,0,0", "shift /C by 1,0,0"), "states": 2000},
            "2000 x 2000 states of .* at most 2 GB, got",
        ),
        ({"without": "/A,B,C"}, "must leave some atoms of model.pdb, got all"),
    ],
)
def test_a_molecule_that_cannot_be_made_is_refused(structure, knobs, message):
    with pytest.raises(OptionError, match=message):
        move_model(structure, MotionOptions(**knobs), PIXEL)


def test_a_box_that_is_too_small_is_refused(structure):
    molecule = move_model(structure, options("shift /B by 0,0,9", states=3), PIXEL)
    across = 2 * molecule.states.center.norm(dim=-1).max().item()
    needed = across + 6 * molecule.width + 2 * 3 * PIXEL
    fits, small = int(needed / PIXEL) + 1, int(needed / PIXEL)
    particles = {"particles": 3, "pixel_size": PIXEL}
    observe_molecule(molecule, SimulationOptions(box_size=fits, **particles))
    with pytest.raises(OptionError, match=f"--box {small}: the molecule, {across:.0f} Å across"):
        observe_molecule(molecule, SimulationOptions(box_size=small, **particles))


def test_frames_are_chosen_evenly():
    assert choose_frames(98, 0, "x").tolist() == list(range(98))
    assert choose_frames(9, 3, "x").tolist() == [0, 4, 8]
    with pytest.raises(InputFileError, match=r"x: 10 states need as many frames, it holds 9"):
        choose_frames(9, 10, "x")
    with pytest.raises(InputFileError, match="at least two frames, it holds 1"):
        choose_frames(1, 0, "x")


def test_arguments_are_left_alone(structure):
    before = structure.position.copy()
    move_model(structure, options("rotate /B by 80 about /B:1", without="/C"), PIXEL)
    move_frames(structure, structure.position, MotionOptions(superpose=True), PIXEL)
    assert np.array_equal(structure.position, before)


def test_knobs_of_a_motion_are_checked():
    with pytest.raises(ValueError, match="superpose puts frames on each other"):
        options("shift /B by 1,0,0", superpose=True)
    with pytest.raises(ValueError, match="states must be at least 2, got 1"):
        options("shift /B by 1,0,0", states=1)
