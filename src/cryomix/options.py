"""Every knob of every algorithm: default, unit, help; imports no torch."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal


def knob(default: Any, help_text: str) -> Any:
    """A field of an options class, with the sentence that ``--help`` prints."""
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions:
    """What every command shares."""

    device: Literal["auto", "cpu", "cuda"] = knob("auto", "where to compute")
    threads: int = knob(0, "processor threads; 0 takes all")

    def __post_init__(self) -> None:
        _require_at_least("threads", self.threads, 0)


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """Knobs of simulated particle sets."""

    particles: int = knob(4000, "number of particles")
    box_size: int = knob(64, "edge of the images, pixels")
    pixel_size: float = knob(4.0, "Å per pixel")
    snr: float = knob(0.1, "variance of the signal over variance of the noise, whole box")
    pose_error_deg: float = knob(0.0, "error of the written rotations about each axis, degrees")
    seed: int = knob(0, "seed of the random numbers")

    def __post_init__(self) -> None:
        _require_at_least("particles", self.particles, 1)
        _require_at_least("box_size", self.box_size, 16)
        _require_positive("pixel_size", self.pixel_size)
        _require_positive("snr", self.snr)
        _require_at_least("pose_error_deg", self.pose_error_deg, 0)


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Knobs of the agreement between particles and map."""

    sample: int = knob(400, "particles that are compared with the map")
    resolution: float | None = knob(None, "finest detail compared, Å [3 pixels, at least 10 Å]")
    seed: int = knob(0, "seed of the random numbers")

    def __post_init__(self) -> None:
        _require_at_least("sample", self.sample, 20)
        if self.resolution is not None:
            _require_positive("resolution", self.resolution)


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """Knobs of the maps rebuilt from particles."""

    padding: float = knob(1.5, "oversampling of the Fourier volume")
    clusters: bool = knob(True, "rebuild a map of each cluster")


@dataclass(frozen=True, kw_only=True)
class NeutralOptions:
    """Knobs of the neutral model's fit."""

    resolution: float | None = knob(None, "finest detail described, Å [3 voxels, at least 10 Å]")
    gaussians: int | None = knob(None, "number of Gaussians [as many as `frc` needs]")
    frc: float = knob(0.95, "mean FRC with the map at which the fit is good enough")
    start_gaussians: int = knob(256, "Gaussians of the first, coarsest stage")
    start_resolution: float = knob(50.0, "resolution of the first stage, Å")
    most_gaussians: int = knob(8192, "never more Gaussians than this")
    views: int = knob(300, "views of the map that are fitted")
    steps: int = knob(150, "optimisation steps of each stage")
    batch_size: int = knob(24, "views in each step")
    seed: int = knob(0, "seed of the random numbers")


def _require_at_least(name: str, value: int | float, least: int | float) -> None:
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _require_positive(name: str, value: int | float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive, got {value}")
