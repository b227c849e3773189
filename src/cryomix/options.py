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

    device: Literal["auto", "cpu", "cuda"] = knob(
        "auto", "where to train; the rest runs on the processor"
    )
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
    shift_px: float = knob(3.0, "largest shift along x and y, pixels")
    defocus: tuple[float, float] = knob((8000.0, 25000.0), "least and greatest defocus, Å")
    astigmatism: float = knob(600.0, "greatest difference between the two defoci of an image, Å")
    seed: int = knob(0, "seed of the random numbers")

    def __post_init__(self) -> None:
        _require_at_least("particles", self.particles, 1)
        _require_at_least("box_size", self.box_size, 16)
        _require_positive("pixel_size", self.pixel_size)
        _require_positive("snr", self.snr)
        for name in ("pose_error_deg", "shift_px", "astigmatism"):
            _require_at_least(name, getattr(self, name), 0)
        low, high = self.defocus
        if not (math.isfinite(low) and low <= high < math.inf):
            raise ValueError(f"defocus must be two ascending values, got {low:g} {high:g}")


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """Knobs of how an atomic model moves."""

    motion: tuple[str, ...] = knob(
        (),
        "'rotate SELECTION by DEGREES about AXIS' or 'shift SELECTION by X,Y,Z'; twice for two "
        "motions that do not depend on each other",
    )
    without: str = knob("", "selection that half of the particles lack")
    states: int = knob(0, "states of each motion [0: 20, 36 of a full turn, or every frame]")
    superpose: bool = knob(False, "put every frame on the first, by all atoms")

    def __post_init__(self) -> None:
        if len(self.motion) > 2:
            raise ValueError(f"motion must be given once or twice, got {len(self.motion)} times")
        if self.motion and self.superpose:
            raise ValueError("superpose puts frames on each other, got a motion of one model")
        if self.states:
            _require_at_least("states", self.states, 2)


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
class AnalysisOptions:
    """Knobs of what the latent space is found to hold."""

    clusters: int = knob(0, "number of clusters; 0 lets the data suggest it")
    method: Literal["mixture", "kmeans"] = knob("mixture", "how particles are divided")
    steps: int = knob(5, "points of each trajectory")
    neighbors: int = knob(15, "neighbours that UMAP keeps together")
    bootstrap: int = knob(100, "times that particles are drawn anew for errors of populations")
    seed: int = knob(0, "seed of the random numbers")

    def __post_init__(self) -> None:
        _require_at_least("clusters", self.clusters, 0)
        _require_at_least("steps", self.steps, 2)
        _require_at_least("neighbors", self.neighbors, 2)
        _require_at_least("bootstrap", self.bootstrap, 20)


PathKind = Literal["straight", "geodesic", "through", "circle"]
"""Of a path that is laid through points of the latent space."""


@dataclass(frozen=True, kw_only=True)
class TrajectoryOptions:
    """Knobs of a path that is laid through the latent space."""

    steps: int = knob(10, "points of the path")
    spacing: Literal["motion", "latent"] = knob(
        "motion", "what is the same from point to point: root mean square displacement, or latent"
    )
    closed: bool = knob(False, "come back to the first point; a circle always does")
    radius: float | None = knob(
        None, "of a circle, in latent units [median distance of the particles from its centre]"
    )
    second_radius: float | None = knob(
        None, "along the second of the two axes, so that the circle is an ellipse [radius]"
    )
    axes: Literal["principal", "latent"] = knob("principal", "axes that span a circle's plane")
    plane: tuple[int, int] = knob((1, 2), "numbers of the two axes")

    def __post_init__(self) -> None:
        _require_at_least("steps", self.steps, 2)
        for name in ("radius", "second_radius"):
            if getattr(self, name) is not None:
                _require_positive(name, getattr(self, name))
        if min(self.plane) < 1 or self.plane[0] == self.plane[1]:
            raise ValueError(f"plane must be two different axes from 1 on, got {self.plane}")


@dataclass(frozen=True, kw_only=True)
class DrawingOptions:
    """Knobs of arrows and movies of a motion."""

    scale: float = knob(1.0, "arrows are so many times as long as the displacement")
    arrows: Literal["gaussians", "density"] = knob(
        "gaussians", "what they follow: each Gaussian, or the density, whichever Gaussians carry it"
    )
    between: tuple[int, int] | None = knob(
        None, "points of the path from and to which arrows go [first and last]"
    )
    closed: bool = knob(False, "the path goes round: after the last point comes the first")
    movie: Literal["gif", "webp", "mp4"] = knob("gif", "kind of movie; mp4 needs cryomix[movie]")
    frames: int = knob(48, "pictures of the movie of models")

    def __post_init__(self) -> None:
        _require_positive("scale", self.scale)
        _require_at_least("frames", self.frames, 2)
        if self.between is not None and (min(self.between) < 1 or len(set(self.between)) < 2):
            raise ValueError(f"between must be two different points from 1 on, got {self.between}")


@dataclass(frozen=True, kw_only=True)
class StatesOptions:
    """Knobs of the models that are exported: of which states, and how."""

    along: str | None = knob(
        None, "states are the points of this path: its name in JOB, or a file of latents"
    )
    at: str | None = knob(None, "states are at these latents (.npy, .csv), one per row")
    clusters: bool = knob(False, "states are the centres of the clusters")
    b_factor: Literal["amplitude", "displacement"] = knob(
        "amplitude",
        "B-factors in .cif and .pdb: amplitude, the largest being 100, or Å from the first state",
    )
    atoms: str | None = knob(
        None, "atomic model that lies in the job's maps: carried to the states, written for each"
    )

    def __post_init__(self) -> None:
        given = [name for name in ("along", "at", "clusters") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"states are taken from one of along, at and clusters, got {given}")


@dataclass(frozen=True, kw_only=True)
class SceneOptions:
    """Knobs of the arrows in a scene for ChimeraX."""

    scale: float = knob(1.0, "arrows are so many times as long as the displacement")
    between: tuple[int, int] | None = knob(
        None, "states from and to which arrows go [first and last]"
    )

    def __post_init__(self) -> None:
        _require_positive("scale", self.scale)
        if self.between is not None and (min(self.between) < 1 or len(set(self.between)) < 2):
            raise ValueError(f"between must be two different states from 1 on, got {self.between}")


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """Knobs of the maps rebuilt from particles."""

    padding: float = knob(1.5, "oversampling of the Fourier volume")
    clusters: bool = knob(True, "rebuild a map of each cluster")
    improved: bool = knob(
        False, "instead, rebuild one map of all particles with moving parts carried back"
    )
    flatten: bool = knob(True, "flatten the solvent of the maps; half maps stay as they are")
    nearest: int = knob(
        0, "take so many particles nearest to a point, all alike [0: weigh all by their distance]"
    )

    def __post_init__(self) -> None:
        _require_at_least("padding", self.padding, 1)
        _require_at_least("nearest", self.nearest, 0)


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

    def __post_init__(self) -> None:
        for name in ("start_gaussians", "most_gaussians", "views", "steps", "batch_size"):
            _require_at_least(name, getattr(self, name), 1)
        for name in ("resolution", "start_resolution", "gaussians"):
            if getattr(self, name) is not None:
                _require_positive(name, getattr(self, name))
        if not 0 < self.frc < 1:
            raise ValueError(f"frc must be between 0 and 1, got {self.frc}")


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Knobs of heterogeneity training."""

    latent_size: int = knob(4, "dimensions of the latent space")
    vary: str = knob("centers,amplitudes,widths", "what may change from particle to particle")
    loss: Literal["snr", "flat"] = knob("snr", "weighting of the rings; flat is the paper's")
    decoder: Literal["dense", "shared"] = knob(
        "shared", "weights of the decoder: shared, so that neighbours agree, or each Gaussian's own"
    )
    rigidity: float = knob(
        0.0, "how firmly neighbours keep their distance, as a share of the score's gradient"
    )
    symmetry: str = knob(
        "C1", "point group of the map, as in RELION: one unit varies, each unit of a particle apart"
    )
    resolution: float | None = knob(None, "finest detail compared, Å [the neutral model's]")
    grow: bool = knob(True, "add Gaussians where the particles show what the neutral model lacks")
    epochs: int = knob(60, "at most so many passes over the particles")
    batch_size: int = knob(64, "particles in each step")
    learning_rate: float = knob(5e-4, "first Adam step; lowered as the held-out score settles")
    held_out: float = knob(0.08, "share of the particles that only score, never train")
    latent_noise: float = knob(0.02, "random vector added to the latents in training")
    latent_prior: float = knob(1.0, "weight of the normal prior on the latents")
    spread_penalty: float = knob(0.0, "weight of the spread of amplitudes and widths")
    weight_decay: float = knob(0.0, "L2 penalty on the weights")
    hidden: int = knob(512, "width of the three hidden layers")
    posterior_steps: int = knob(2, "Gauss-Newton steps on each latent after training")
    precision: Literal["float32", "tf32", "bfloat16"] = knob(
        "tf32", "of the networks' products on a GPU; a processor always takes float32"
    )
    memory_gb: float = knob(1.0, "keep prepared particles in memory up to this size, GB")
    seed: int = knob(0, "seed of the random numbers")

    def __post_init__(self) -> None:
        for name in ("latent_size", "epochs", "batch_size", "hidden"):
            _require_at_least(name, getattr(self, name), 1)
        for name in ("latent_noise", "latent_prior", "spread_penalty", "weight_decay", "rigidity"):
            _require_at_least(name, getattr(self, name), 0)
        _require_at_least("posterior_steps", self.posterior_steps, 0)
        _require_positive("learning_rate", self.learning_rate)
        if not 0.01 <= self.held_out <= 0.5:
            raise ValueError(f"held_out must be between 0.01 and 0.5, got {self.held_out}")
        if self.resolution is not None:
            _require_positive("resolution", self.resolution)
        unknown = set(self.kinds) - {"centers", "amplitudes", "widths"}
        if unknown or not self.kinds:
            raise ValueError(f"vary takes centers, amplitudes, widths, got {self.vary!r}")
        if self.rigidity and "centers" not in self.kinds:
            raise ValueError(f"rigidity needs centers that vary, got vary {self.vary!r}")

    @property
    def kinds(self) -> tuple[str, ...]:
        """`vary`, split."""
        return tuple(kind.strip() for kind in self.vary.split(",") if kind.strip())


def _require_at_least(name: str, value: int | float, least: int | float) -> None:
    if not value >= least:
        raise ValueError(f"{name} must be at least {least}, got {value}")


def _require_positive(name: str, value: int | float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be positive, got {value}")
