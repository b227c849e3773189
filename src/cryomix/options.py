"""Every knob of every algorithm: default, unit, help; imports no torch."""

from dataclasses import dataclass, field
from typing import Any


def knob(default: Any, help_text: str) -> Any:
    """A field of an options class, with the sentence that ``--help`` prints."""
    return field(default=default, metadata={"help": help_text})


@dataclass(frozen=True, kw_only=True)
class ReconstructionOptions:
    """Knobs of the maps rebuilt from particles."""

    padding: float = knob(1.5, "oversampling of the Fourier volume")
    clusters: bool = knob(True, "rebuild a map of each cluster")
