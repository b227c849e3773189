"""Conditions on particles: comparisons, outlines and distances."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from cryomix.latent.criteria import closest, inside_outline, passing, within

NAN = float("nan")


@pytest.mark.parametrize(
    ("sign", "expected"),
    [
        ("<", [1, 0, 0, 0]),
        ("<=", [1, 1, 0, 0]),
        (">", [0, 0, 1, 0]),
        (">=", [0, 1, 1, 0]),
        ("=", [0, 1, 0, 0]),
        ("!=", [1, 0, 1, 0]),
    ],
)
def test_comparisons_that_no_missing_number_passes(sign, expected):
    assert passing(np.array([-1.0, 0.5, 2.0, NAN]), sign, 0.5).tolist() == expected


def test_an_outline_with_a_notch():
    """An L: what lies in its notch is outside."""
    outline = np.array([[0, 0], [3, 0], [3, 1], [1, 1], [1, 3], [0, 3]], float)
    point = np.array([[0.5, 0.5], [2, 0.5], [0.5, 2], [2, 2], [-1, 0.5], [4, 0.5]], float)
    expected = [True, True, True, False, False, False]
    assert inside_outline(point, outline).tolist() == expected
    assert inside_outline(point, outline[::-1]).tolist() == expected
    assert inside_outline(point, np.roll(outline, 2, axis=0)).tolist() == expected


def test_any_outline_as_matplotlib_sees_it():
    generator = np.random.default_rng(0)
    point = generator.normal(size=(2000, 2))
    angle = np.sort(generator.uniform(0, 2 * np.pi, 17))
    reach = generator.uniform(0.2, 2, 17)
    outline = reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    expected = Outline(np.concatenate([outline, outline[:1]]), closed=True).contains_points(point)
    inside = inside_outline(point, outline)
    assert 0.1 < inside.mean() < 0.9
    assert inside.tolist() == expected.tolist()


def test_an_outline_has_three_corners():
    with pytest.raises(ValueError, match="at least three corners, got 2"):
        inside_outline(np.zeros((1, 2)), np.zeros((2, 2)))


def test_the_nearest_and_those_not_too_far():
    latent = np.array([[0, 0], [3, 4], [0, 1], [10, 0]], np.float32)
    point = np.zeros(2, np.float32)
    assert closest(latent, point, 2).tolist() == [True, False, True, False]
    assert closest(latent, point, 9).all()
    assert within(latent, point, 5.0).tolist() == [True, True, True, False]
