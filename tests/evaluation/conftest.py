"""A small truth with states, as a truth file holds it."""

import numpy as np
import pytest


@pytest.fixture
def states_on_a_line() -> dict[str, np.ndarray]:
    """Six states: a still body of 40 Gaussians, and five that move 25 Å; 120 particles."""
    generator = np.random.default_rng(0)
    body = generator.normal(scale=12, size=(40, 3))
    domain = generator.normal(scale=4, size=(5, 3)) + np.array([-12.5, 30, 0])
    travel = np.linspace(0, 25, 6)[:, None, None] * np.array([1.0, 0, 0])
    states = np.concatenate([np.broadcast_to(body, (6, 40, 3)), domain + travel], axis=1)
    which = np.arange(120) % 6
    euler = generator.uniform((-180, 0, -180), (180, 180, 180), size=(120, 3))
    return {
        "which": which, "t": which / 5, "c": which // 3, "cyclic": np.array(False),
        "states": states.astype(np.float32), "amps": np.ones((6, 45), np.float32),
        "sigma": np.array(4.0), "apix": np.array(5.0), "box": np.array(32),
        "euler": euler, "origin": generator.uniform(-8, 8, size=(120, 2)),
    }  # fmt: skip
