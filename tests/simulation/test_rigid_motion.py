"""Phrases become the motions that they say."""

import re

import numpy as np
import pytest

from cryomix.errors import InputFileError, OptionError
from cryomix.simulation.motion import read_motion


def read(structure, text, states=0):
    return read_motion(text, structure, structure.position[0], states)


def test_a_shift_goes_its_way(structure):
    motion = read(structure, "shift /B by 0,0,12", 4)
    assert motion.coordinate == pytest.approx([0, 1 / 3, 2 / 3, 1])
    point = np.array([[1.0, 2.0, 3.0]])
    assert motion.place(point, 0) == pytest.approx(point)
    assert motion.place(point, 1) == pytest.approx(np.array([[1.0, 2.0, 7.0]]))
    assert not motion.cyclic
    assert np.flatnonzero(motion.moved).tolist() == list(range(40, 60))


def test_a_quarter_turn_is_right_handed(structure):
    """About z through the origin, where the rod's first atom is, x becomes y."""
    motion = read(structure, "rotate /B by 90 about 0,0,2 through /A:1", 2)
    assert motion.place(np.array([[3.0, 0.0, 1.0]]), 1) == pytest.approx(np.array([[0, 3, 1]]))


def test_an_axis_between_two_residues_stays(structure):
    motion = read(structure, "rotate /B by 70 about /A:40 to /B:1", 3)
    ends = np.stack([structure.position[0, 39], structure.position[0, 40]])
    assert motion.place(ends, 2) == pytest.approx(ends)
    assert motion.rotation == pytest.approx(np.radians(70) * np.array([1.0, 0, 0]))


def test_a_hinge_turns_about_the_line_from_what_stays(structure):
    motion = read(structure, "rotate /B by 360 about /B:1", 8)
    position = structure.position[0]
    hinge, rest = position[40], np.delete(position, range(40, 60), axis=0).mean(axis=0)
    axis = (hinge - rest) / np.linalg.norm(hinge - rest)
    assert motion.rotation == pytest.approx(2 * np.pi * axis)
    assert motion.place(hinge[None] + 5 * axis, 3) == pytest.approx(hinge[None] + 5 * axis)


def test_without_a_point_a_part_turns_about_its_middle(structure):
    motion = read(structure, "rotate /B by 50 about 1,1,0", 3)
    part = structure.position[0, 40:60]
    turned = motion.place(part, 2)
    assert turned.mean(axis=0) == pytest.approx(part.mean(axis=0))
    assert np.abs(turned - part).max() > 5


def test_a_full_turn_is_cyclic_and_never_repeats_a_state(structure):
    motion = read(structure, "rotate /B about 0,0,1 by -360", 5)
    assert motion.cyclic
    assert motion.coordinate == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])
    points = structure.position[0, 40:60]
    first, last = motion.place(points, 0), motion.place(points, 4)
    step = np.linalg.norm(motion.place(points, 1) - first, axis=1)
    assert np.linalg.norm(first - last, axis=1) == pytest.approx(step)


def test_states_have_defaults(structure):
    assert len(read(structure, "shift /B by 1,0,0").coordinate) == 20
    assert len(read(structure, "rotate /B by 359 about 0,0,1").coordinate) == 20
    assert len(read(structure, "rotate /B by 360 about 0,0,1").coordinate) == 36


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be 'rotate"),
        ("turn /B by 3 about 0,0,1", "must be 'rotate"),
        ("rotate /B", "must be 'rotate"),
        ("rotate /B by 30", "must be 'rotate"),
        ("rotate /B about 0,0,1", "must be 'rotate"),
        ("rotate /B by 30 by 40 about 0,0,1", "must be 'rotate"),
        ("rotate /B by 30 about 0,0,1 round", "must be 'rotate"),
        ("rotate /B by 30 about 0,0,1 to /A", "must be 'rotate"),
        ("rotate /B by 30 about /A through /A", "must be 'rotate"),
        ("shift /B by 1,2,3 about /A", "must be 'rotate"),
        ("shift /B by 1,2", "three numbers X,Y,Z there, got '1,2'"),
        ("shift /B by 1,2,z", "a number there, got 'z'"),
        ("shift /B by 1,2,nan", "a number there, got 'nan'"),
        ("rotate /B by 0 about 0,0,1", "up to 360 degrees, got 0"),
        ("rotate /B by 361 about 0,0,1", "up to 360 degrees, got 361"),
        ("rotate /B by 30 about 0,0,0", "axis with a direction"),
        ("rotate /B by 30 about /A:3 to /A:3", "axis with a direction"),
        ("shift /A,B,C by 1,0,0", "leave something that stays, got all atoms"),
    ],
)
def test_what_is_no_motion_is_refused(structure, text, reason):
    with pytest.raises(OptionError, match=re.escape(reason)) as caught:
        read(structure, text)
    assert str(caught.value).startswith(f"--motion {text!r}: ")


def test_a_hinge_that_is_not_there_is_refused(structure):
    with pytest.raises(InputFileError, match=r"model.pdb: no atom is in /B:230"):
        read(structure, "rotate /B by 30 about /B:230")
