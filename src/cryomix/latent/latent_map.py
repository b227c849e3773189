"""Where each particle lies in the latent space, and which particles lie near a point of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from scipy.spatial import cKDTree
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LatentMap:
    """One latent vector per particle.

    Attributes
    ----------
    latent
        Dimensionless; 0 is the neutral structure.
    std
        Standard deviation of each latent, in the same units.
    index
        Into `Particles`.
    score
        How well each particle agrees with its own model.
    """

    latent: Float[Tensor, "particles latent"]
    std: Float[Tensor, "particles latent"]
    index: Int64[Tensor, "particles"]
    score: Float[Tensor, "particles"]

    def __post_init__(self) -> None:
        broken = int((~torch.isfinite(self.latent)).any(dim=1).sum())
        if broken:
            raise ValueError(f"latents must be finite; {broken} of {len(self.latent)} rows are not")

    def __len__(self) -> int:
        return len(self.latent)

    @property
    def latent_size(self) -> int:
        """Dimensions of the latent space."""
        return self.latent.shape[1]


@dataclass(frozen=True, slots=True)
class Selection:
    """Some of the particles.

    Attributes
    ----------
    index
        Into `Particles`; sorted, each once.
    label
        What they have in common, for people to read.
    """

    index: Int64[Tensor, "selected"]
    label: str

    def __post_init__(self) -> None:
        if len(self.index) > 1 and not bool((self.index.diff() > 0).all()):
            raise ValueError(f"the index of selection {self.label!r} must be sorted and unique")

    def __len__(self) -> int:
        return len(self.index)


def nearest(latent_map: LatentMap, point: Float[Tensor, "latent"], count: int) -> Selection:
    """The `count` particles closest to `point`; all of them where there are fewer."""
    return nearest_along(latent_map, point[None], count)[0]


def nearest_along(
    latent_map: LatentMap, points: Float[Tensor, "steps latent"], count: int
) -> list[Selection]:
    """For each of `points`, the `count` particles closest to it; particles may be shared."""
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    tree = cKDTree(latent_map.latent.detach().cpu().double().numpy())
    wanted = list(range(1, min(count, len(latent_map)) + 1))
    _, row = tree.query(points.detach().cpu().double().numpy(), k=wanted)
    chosen = latent_map.index[torch.from_numpy(row).long()].sort(dim=1).values
    return [
        Selection(index, f"{len(wanted)} particles nearest to point {step}")
        for step, index in enumerate(chosen, start=1)
    ]


def select_cluster(
    latent_map: LatentMap, label: Int64[Tensor, "particles"], cluster: int
) -> Selection:
    """The particles whose `label` is `cluster`."""
    return Selection(latent_map.index[label == cluster].sort().values, f"cluster {cluster + 1}")
