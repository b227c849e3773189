"""Latents and clusters as keys of an EMAN2 list."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, Shaped

from cryomix.files.eman2 import LATENT, write_particles
from cryomix.files.eman2_list import read_list

CLUSTER = "cryomixCluster"


def write_latents(
    source: Path,
    out: Path,
    latent: Float[np.ndarray, "written latent"],
    *,
    rows: Int64[np.ndarray, "written"] | None = None,
    cluster: Int64[np.ndarray, "written"] | None = None,
) -> None:
    """As `eman2.write_particles`, with ``cryomixLatent1`` and on, and ``cryomixCluster``."""
    rounded = latent.astype(np.float64).round(6)
    added: dict[str, Shaped[np.ndarray, "written"]] = dict(
        zip(_keys(latent.shape[1]), rounded.T, strict=True)
    )
    if cluster is not None:
        added[CLUSTER] = cluster
    write_particles(source, out, rows=rows, added=added)


def read_latents(path: Path, latent_size: int) -> Float[np.ndarray, "rows latent"]:
    """The latents that a job wrote into a list, or into the one its rows were taken from.

    Raises
    ------
    MissingColumnError
        If a row has fewer than `latent_size` of them.
    """
    listing = read_list(path)
    columns = [listing.numbers(key) for key in _keys(latent_size)]
    return np.stack(columns, axis=1).astype(np.float32)


def _keys(latent_size: int) -> list[str]:
    return [f"{LATENT}{number}" for number in range(1, latent_size + 1)]
