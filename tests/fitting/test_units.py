"""Network units and Å are each other's inverse."""

import pytest
import torch

from cryomix.fitting.units import to_network_units, to_physical_units


def test_the_corners_of_the_unit_cube():
    unit = torch.tensor([[0.0, 0.5, 1.0, 0.25, 0.0], [1.0, 0.5, 0.0, 0.75, 1.0]])
    model = to_physical_units(unit, 200.0, 4.0)
    assert model.center.tolist() == [[-100.0, 0.0, 100.0], [100.0, 0.0, -100.0]]
    assert model.amplitude.tolist() == [0.25, 0.75]
    assert model.width.tolist() == [2.0, 6.0]


def test_there_and_back():
    unit = torch.rand(7, 5, generator=torch.Generator().manual_seed(0)).clamp(0.01, 0.99)
    back = to_network_units(to_physical_units(unit, 130.0, 3.0), 130.0, 3.0)
    torch.testing.assert_close(back, unit)


def test_what_the_network_cannot_reach_is_refused():
    model = to_physical_units(torch.full((1, 5), 0.5), 100.0, 3.0)
    with pytest.raises(ValueError, match="outside the box"):
        to_network_units(model, 100.0, 1.0)
