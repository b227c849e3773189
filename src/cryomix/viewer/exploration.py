"""What there is to see of a job: particles as columns of numbers, its decoder and its paths."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume
from cryomix.viewer.latent_axes import LatentAxes
from cryomix.viewer.path_plan import PathDesk

Kind = Literal["number", "category", "angle", "named"]


@dataclass(frozen=True, slots=True)
class Column:
    """One number per particle, to place particles by or to colour them.

    Attributes
    ----------
    name
        As ``--select`` takes it.
    title
        For people to read, with the unit.
    kind
        A quantity, the number of a group from 1, an angle that goes round, degrees, or a group
        whose name is found with the values.
    read
        The values; NaN where a particle has none. Of named groups, the groups.
    groups
        Names of the groups of a category, where they have any.
    """

    name: str
    title: str
    kind: Kind
    read: "Callable[[], Float[np.ndarray, 'particles'] | Groups]"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptPath:
    """A path of the job.

    Attributes
    ----------
    latent
        Its steps.
    is_closed
        Whether the step after the last is the first.
    """

    latent: Float[np.ndarray, "steps latent"]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class Groups:
    """Which group each particle belongs to.

    Attributes
    ----------
    names
        Of the groups that are told apart, the largest first.
    number
        Of each particle's group, from 1; that of a smaller group is one more than there are names.
    """

    names: tuple[str, ...]
    number: Integer[np.ndarray, "particles"]


@dataclass(frozen=True, slots=True)
class HalfMapCurve:
    """How far two half maps agree, shell by shell.

    Attributes
    ----------
    file
        Where it is kept.
    frequency
        Of the shells, Å⁻¹; the first is zero.
    unmasked, masked
        Fourier shell correlation without and with a mask.
    particles
        How many each shell was made from, in effect.
    resolution_unmasked, resolution
        Å, at 0.143; infinite where they do not agree at all.
    """

    file: str
    frequency: Float[np.ndarray, "shells"]
    unmasked: Float[np.ndarray, "shells"]
    masked: Float[np.ndarray, "shells"]
    particles: Float[np.ndarray, "shells"]
    resolution_unmasked: float
    resolution: float


@dataclass(frozen=True, slots=True)
class LocalMotion:
    """What one domain does alone.

    Attributes
    ----------
    name
        Of the domain.
    direction
        Of the latent, for one Å of root mean square displacement of the domain.
    low, high
        How far the particles go, Å; a hundredth of them lies beyond each end.
    """

    name: str
    direction: Float[np.ndarray, "latent"]
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Decoding:
    """Latents, and what they mean.

    Attributes
    ----------
    latent
        Of each particle.
    decode
        The Gaussian model of each latent.
    neutral
        That of latent 0.
    axes
        Linear functions of the latent that particles can be placed by.
    box_length
        Edge of the box, Å.
    """

    latent: Float[np.ndarray, "particles latent"]
    decode: Callable[[Tensor], GaussianModel]
    neutral: GaussianModel
    axes: LatentAxes
    box_length: float


@dataclass(frozen=True, slots=True)
class Rule:
    """How particles were chosen by one column: in groups of these numbers, or between two values.

    Attributes
    ----------
    column
        Its name.
    groups
        Numbers of groups; if there are any, `low` and `high` say nothing.
    low, high
        Both belong to what is chosen; None is no bound.
    """

    column: str
    groups: tuple[int, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come.

    Attributes
    ----------
    epoch
        Number of the last epoch that ended, of which the latents are; 0 before the first.
    has_ended
        Whether it was the last, after which the latents of all particles are refined.
    written
        When it ended, seconds since 1970: nothing else tells whether the training still runs.
    """

    epoch: int
    has_ended: bool
    written: float


@runtime_checkable
class Desk(Protocol):
    """What can be done with a selection; all of it is a command line as well."""

    def condition(self, rule: Rule, rows: Int64[np.ndarray, "selected"]) -> str | None:
        """The rule as ``--select`` takes it; None where that does not choose these very rows."""

    def keep(
        self, name: str, rows: Int64[np.ndarray, "selected"], condition: str | None = None
    ) -> str:
        """Write the selection under a name; the command that writes its particles again."""

    def scene(self, name: str) -> str:
        """The command that shows a selection that was kept in ChimeraX."""

    def rebuild(self, name: str, condition: str | None = None) -> list[str]:
        """The arguments of the command that rebuilds a map from a selection that was kept."""

    def map_name(self, name: str) -> str:
        """Under which that map is listed."""

    def clear(self, name: str) -> None:
        """Take away what that command wrote before it was cancelled."""


@dataclass(frozen=True, slots=True)
class Traces:
    """Files of a job, each with a number that changes when it is written.

    Attributes
    ----------
    results
        What an `Exploration` is read from.
    maps
        What is read when it is asked for.
    unfinished
        What is being written, or was left by a program that was killed.
    """

    results: frozenset[tuple[Path, int]] = frozenset()
    maps: frozenset[tuple[Path, int]] = frozenset()
    unfinished: frozenset[tuple[Path, int]] = frozenset()


@dataclass(frozen=True, slots=True)
class Exploration:
    """All of it; before the first epoch of its training has ended a job has nothing.

    Attributes
    ----------
    folder
        Of the job, as the user named it.
    history
        Scores per epoch by name, read anew at each call; empty if there is none yet.
    desk
        What can be done with selections.
    decoding
        None before that.
    columns, paths, motions
        Whatever the job has of them.
    domains
        Which Gaussians are in each, by name.
    path_desk
        What can be done with paths; None before the training has ended.
    maps
        Rebuilt from particles, by name, as they are there at each call; read when asked for.
    curves
        Of those maps that have half maps, in the same way.
    traces
        Of the files, from before they were read.
    look
        Traces as they are now.
    again
        Reads all of it anew.
    progress
        Of a training that goes on; None once the latents of all particles were found.
    """

    folder: Path
    history: Callable[[], Mapping[str, Float[np.ndarray, "epochs"]]]
    desk: Desk
    decoding: Decoding | None = None
    columns: tuple[Column, ...] = ()
    paths: Mapping[str, KeptPath] = field(default_factory=dict)
    path_desk: PathDesk | None = None
    motions: tuple[LocalMotion, ...] = ()
    domains: Mapping[str, Bool[np.ndarray, "gaussians"]] = field(default_factory=dict)
    maps: Callable[[], Mapping[str, Callable[[], Volume]]] = dict
    curves: Callable[[], Mapping[str, Callable[[], HalfMapCurve]]] = dict
    traces: Traces = field(default_factory=Traces)
    look: Callable[[], Traces] = Traces
    again: "Callable[[], Exploration] | None" = None
    progress: Progress | None = None

    def column(self, name: str) -> Column | None:
        """The column of a name."""
        return next((column for column in self.columns if column.name == name), None)
