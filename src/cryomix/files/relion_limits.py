"""What a RELION file may hold that cryomix does not model: refused, or set aside and told."""

import warnings
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool

from cryomix.errors import DataWarning, InputFileError
from cryomix.files.relion_table import RelionTable

# The value that says that there is none of it.
_IGNORED = {
    "rlnMagMat00": 1.0,
    "rlnMagMat01": 0.0,
    "rlnMagMat10": 0.0,
    "rlnMagMat11": 1.0,
    "rlnBeamTiltX": 0.0,
    "rlnBeamTiltY": 0.0,
    "rlnCtfBfactor": 0.0,
    "rlnCtfScalefactor": 1.0,
}
_IGNORED_LISTS = ("rlnOddZernike", "rlnEvenZernike")
_REFUSED = {
    "rlnImageDimensionality": (2.0, "images must be two-dimensional"),
    "rlnCtfDataAreCtfPremultiplied": (0.0, "images must not be multiplied by their CTF"),
}
LIMITED = (*_IGNORED, *_REFUSED)


def refuse_unsupported(table: RelionTable) -> None:
    """Refuse tomography, subtomograms and images multiplied by their CTF.

    Raises
    ------
    InputFileError
        Naming the column.
    """
    for block in table.star.blocks:
        if block.has("rlnTomoSubTomosAre2DStacks"):
            raise InputFileError(
                f"{table.path}: data_{block.name} has _rlnTomoSubTomosAre2DStacks: tomography "
                "is not supported, only single-particle images"
            )
    for label, (supported, rule) in _REFUSED.items():
        if not table.has(label):
            continue
        values = table.numbers[label]
        other = np.flatnonzero(values != supported)
        if len(other):
            raise InputFileError(
                f"{table.path}: {rule}: _{label} must be {supported:g}, got {values[other[0]]:g}"
            )


def warn_of_ignored(table: RelionTable) -> None:
    """Say which aberrations are set aside, and of which optics groups if not of all.

    Warns
    -----
    DataWarning
        In one line.
    """
    ignored = [
        f"_{label}{_groups(table, concerned)}"
        for label, concerned in _aberrations(table)
        if concerned.any()
    ]
    if ignored:
        warnings.warn(f"{table.path}: ignored: {', '.join(ignored)}", DataWarning, stacklevel=3)


def _aberrations(table: RelionTable) -> Iterator[tuple[str, Bool[np.ndarray, "particles"]]]:
    for label, neutral in _IGNORED.items():
        if table.has(label):
            yield label, np.abs(table.numbers[label] - neutral) > 1e-6
    for label in _IGNORED_LISTS:
        if table.particles.has(label):
            yield label, np.array([_is_some(text) for text in table.particles.column(label)])
        elif table.optics is not None and table.optics.has(label):
            some = np.array([_is_some(text) for text in table.optics.column(label)])
            yield label, some[table.group]


def _is_some(coefficients: str) -> bool:
    """Whether a list such as ``[0,0,0]`` holds anything but zeros."""
    return bool(set(coefficients) - set("[], 0.+-eE"))


def _groups(table: RelionTable, concerned: Bool[np.ndarray, "particles"]) -> str:
    groups = np.unique(table.group[concerned])
    if table.optics is None or len(groups) == len(np.unique(table.group)):
        return ""
    first = [int(np.flatnonzero(table.group == group)[0]) for group in groups]
    return f" ({', '.join(table.place_of(row) for row in first)})"
