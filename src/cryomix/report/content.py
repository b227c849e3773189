"""What a report is made from: everything but the title may be absent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume
from cryomix.latent.clusters import Clusters
from cryomix.latent.latent_map import LatentMap
from cryomix.latent.reduction import Embedding
from cryomix.latent.trajectory import Trajectory


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFacts:
    """What went in.

    Attributes
    ----------
    particles, box_size
        How many images, and their edge in pixels.
    pixel_size
        Å.
    resolution
        Finest detail compared, Å.
    gaussians
        Of the neutral model.
    """

    particles: int
    box_size: int
    pixel_size: float
    resolution: float | None = None
    gaussians: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A correlation against spatial frequency.

    Attributes
    ----------
    frequency
        Å⁻¹.
    correlation
        FRC or FSC.
    """

    frequency: Float[Tensor, "points"]
    correlation: Float[Tensor, "points"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochScore:
    """One pass of the training; scores are gains over the neutral model, per particle."""

    epoch: int
    training: float
    held_out: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuiltMap:
    """A map reconstructed from some of the particles.

    Attributes
    ----------
    name
        As the file is called.
    particles, finest_particles
        How many it is made from; where they are weighted, effectively in the coarsest and in
        the finest shell.
    resolution
        Å, where the half maps' FSC falls to 0.143.
    fsc
        Of the half maps.
    volume
        To be shown in projection.
    """

    name: str
    particles: int
    resolution: float | None = None
    fsc: Curve | None = None
    volume: Volume | None = None
    finest_particles: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedPath:
    """A path through the latent space and the molecule along it.

    Attributes
    ----------
    name
        For people to read, such as ``along the particles``.
    models
        One per step.
    trajectory
        Its points, drawn on the latent map.
    maps
        Rebuilt from the particles for each step.
    is_closed
        Whether the last step leads back to the first.
    """

    name: str
    models: GaussianModel
    trajectory: Trajectory | None = None
    maps: tuple[RebuiltMap, ...] = ()
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """All that a report can show.

    Attributes
    ----------
    title
        Of the page.
    subtitle
        Where the data are from.
    command, created, versions
        How, when and with what it was made.
    facts
        What went in.
    neutral_frc
        Agreement of the neutral model with the consensus map.
    history, score_unit
        Scores of each epoch, and what they are measured in.
    latent_map, pca, umap
        Where the particles lie.
    clusters, cluster_maps
        How they were divided; maps in the order of the clusters.
    paths
        What moves; the first is the most important.
    scores
        Recovery of a known truth, by name.
    warnings
        What the user must know before believing the rest.
    """

    title: str
    subtitle: str = ""
    command: str | None = None
    created: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    facts: InputFacts | None = None
    neutral_frc: Curve | None = None
    history: tuple[EpochScore, ...] = ()
    score_unit: str = ""
    latent_map: LatentMap | None = None
    pca: Embedding | None = None
    umap: Embedding | None = None
    clusters: Clusters | None = None
    cluster_maps: tuple[RebuiltMap, ...] = ()
    paths: tuple[DecodedPath, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
