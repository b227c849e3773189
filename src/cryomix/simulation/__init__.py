"""Synthetic molecules, and particle sets of them with known truth."""

from cryomix.simulation.image_formation import MemoryStack, SimulatedStack
from cryomix.simulation.molecule import MovingMolecule
from cryomix.simulation.particle_set import (
    Simulation,
    observe_molecule,
    simulate_particles,
    simulate_system,
)
from cryomix.simulation.systems import System, make_molecule

__all__ = [
    "MemoryStack",
    "MovingMolecule",
    "SimulatedStack",
    "Simulation",
    "System",
    "make_molecule",
    "observe_molecule",
    "simulate_particles",
    "simulate_system",
]
