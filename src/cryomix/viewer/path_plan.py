"""Paths as a page asks for them: a kind, the points that were pinned or drawn, how many steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import Float

from cryomix.errors import OptionError
from cryomix.latent.laid_path import LaidPath
from cryomix.options import PathKind, TrajectoryOptions

MOST_POINTS = 60  # given; a path through more takes long to lay
_MOST_STEPS = 200
_KINDS = {str(kind): kind for kind in get_args(PathKind)}


@dataclass(frozen=True, slots=True)
class PathPlan:
    """What `cryomix trajectory` takes.

    Attributes
    ----------
    kind
        Straight, geodesic, through or circle.
    points
        Given ones, float32.
    options
        Of the steps, and of a circle.
    """

    kind: PathKind
    points: Float[np.ndarray, "points latent"]
    options: TrajectoryOptions


@runtime_checkable
class PathDesk(Protocol):
    """What can be done with paths; all of it is a command line as well."""

    def lay(self, plan: PathPlan) -> LaidPath:
        """The path, not written."""

    def command(self, plan: PathPlan, name: str) -> str:
        """The command that writes it under a name."""

    def keep(self, name: str, plan: PathPlan) -> LaidPath:
        """Write it as that command does."""

    def rebuild(self, name: str) -> list[str]:
        """The arguments of the command that rebuilds maps along a path that was kept."""

    def clear(self, name: str) -> None:
        """Take away what that command wrote before it was cancelled."""


def read_plan(
    message: Mapping[str, object], points: Float[np.ndarray, "points latent"]
) -> PathPlan:
    """The plan of a message, through points that are latents.

    Raises
    ------
    OptionError
        If there is no such kind of path, or an option has no such value.
    """
    kind = _KINDS.get(str(message.get("kind")))
    if kind is None:
        raise OptionError(f"a path is one of {', '.join(_KINDS)}, got {message.get('kind')!r}")
    wanted = message.get("options", {})
    if not isinstance(wanted, Mapping) or not set(wanted) <= set(_OPTIONS):
        raise OptionError(f"options of a path are {', '.join(_OPTIONS)}, got {wanted!r}")
    try:
        options = TrajectoryOptions(**{name: _OPTIONS[name](wanted[name]) for name in wanted})
    except (TypeError, ValueError, OverflowError) as error:
        raise OptionError(f"options of a path: {error}, got {dict(wanted)!r}") from error
    if options.steps > _MOST_STEPS:
        raise OptionError(f"steps must be at most {_MOST_STEPS}, got {options.steps}")
    return PathPlan(kind, points, options)


def _pair(numbers: Any) -> tuple[int, int]:
    first, second = numbers
    return int(first), int(second)


def _one_of(*words: str) -> Callable[[Any], str]:
    def read(word: Any) -> str:
        if word not in words:
            raise ValueError(f"one of {', '.join(words)} is needed")
        return str(word)

    return read


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "steps": int,
    "spacing": _one_of("motion", "latent"),
    "closed": bool,
    "radius": float,
    "second_radius": float,
    "axes": _one_of("principal", "latent"),
    "plane": _pair,
}


def differing(
    points: Float[np.ndarray, "points latent"], *, is_closed: bool
) -> Float[np.ndarray, "differing latent"]:
    """Without points that are the same as the one before: means of the same particles."""
    keep = np.ones(len(points), bool)
    keep[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    kept = points[keep]
    return kept[:-1] if is_closed and len(kept) > 1 and (kept[0] == kept[-1]).all() else kept
