"""Selections name the atoms that ChimeraX would."""

import re

import numpy as np
import pytest

from cryomix.errors import InputFileError, OptionError
from cryomix.simulation.structure import select_atoms


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("/A", range(40)),
        ("/A,C", [*range(40), *range(60, 90)]),
        ("/A/C", [*range(40), *range(60, 90)]),
        ("/A:3-5", [2, 3, 4]),
        ("/A:3-5,7", [2, 3, 4, 6]),
        ("/A,B:1", [0, 40]),
        ("/A:40/B", range(39, 60)),
        (":20", [19, 59, 89]),
        ("/C:-9--8,20", [60, 61, 89]),
        ("/C:-9-0", range(60, 70)),
    ],
)
def test_a_selection_names_its_atoms(structure, selection, expected):
    assert np.flatnonzero(select_atoms(structure, selection)).tolist() == list(expected)


@pytest.mark.parametrize("selection", ["", "A", "A:1-3", "/A:x", "/", ":", "/A:1-2-3", "/A: 1"])
def test_what_is_no_selection_is_refused(structure, selection):
    with pytest.raises(OptionError, match=re.escape(f"got {selection!r}")) as caught:
        select_atoms(structure, selection)
    assert "/A:1-230/B" in str(caught.value)


@pytest.mark.parametrize("selection", ["/D", "/A:41-50", "/A/D", "/a"])
def test_a_selection_of_nothing_says_what_there_is(structure, selection):
    with pytest.raises(InputFileError) as caught:
        select_atoms(structure, selection)
    assert str(caught.value).startswith("model.pdb: no atom is in /")
    assert str(caught.value).endswith("it holds /A:1-40, /B:1-20, /C:-9-20")
