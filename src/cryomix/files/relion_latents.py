"""Latents and clusters as columns of a RELION file."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int64, Shaped

from cryomix.files.relion import write_particles
from cryomix.files.relion_table import particle_block
from cryomix.files.star import read_star

CLUSTER = "cryomixCluster"


def write_latents(
    source: Path,
    out: Path,
    latent: Float[np.ndarray, "written latent"],
    *,
    rows: Int64[np.ndarray, "written"] | None = None,
    cluster: Int64[np.ndarray, "written"] | None = None,
) -> None:
    """As `relion.write_particles`, with ``_cryomixLatent1`` and on, and ``_cryomixCluster``."""
    added: dict[str, Shaped[np.ndarray, "written"]] = {
        label: np.array([f"{value:.6f}" for value in column])
        for label, column in zip(_labels(latent.shape[1]), latent.T, strict=True)
    }
    if cluster is not None:
        added[CLUSTER] = cluster
    write_particles(source, out, rows=rows, added=added)


def read_latents(path: Path, latent_size: int) -> Float[np.ndarray, "rows latent"]:
    """The latents that a job wrote into a star file, or into the one its rows were taken from.

    Raises
    ------
    MissingColumnError
        If there are fewer than `latent_size` of them.
    """
    labels = _labels(latent_size)
    columns = particle_block(read_star(path)).float_columns(labels)
    return np.stack([columns[label] for label in labels], axis=1).astype(np.float32)


def _labels(latent_size: int) -> list[str]:
    return [f"cryomixLatent{number}" for number in range(1, latent_size + 1)]
