"""What a report is made from: everything but the title may be absent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Float, Int64
from torch import Tensor

from cryomix.imaging.gaussians import GaussianModel
from cryomix.imaging.volume import Volume
from cryomix.latent.clusters import Clusters
from cryomix.latent.density import PlaneDensity
from cryomix.latent.latent_map import LatentMap
from cryomix.latent.localized_path import DomainMotion
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
    latents
        Dimensions of the latent space.
    """

    particles: int
    box_size: int
    pixel_size: float
    resolution: float | None = None
    gaussians: int | None = None
    latents: int | None = None


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
class Populations:
    """Particles in each stretch of the main path, freed of the blur of their errors.

    Attributes
    ----------
    distance, length, unit
        Of the path up to the middle of each stretch, and of each stretch, in `unit`.
    share, share_low, share_high
        Of the particles, with a 95 % interval.
    free_energy_kt, free_energy_low_kt, free_energy_high_kt
        The same of the free energy; 0 where it is lowest.
    counted
        Share of the particles whose own latent is nearest to each stretch.
    particle_error
        Standard deviation of the place of a particle in each stretch, in `unit`.
    draws
        Shares among particles that were drawn anew.
    state
        Which of the states that are shown along the path is nearest, counted from 0.
    is_closed
        Whether the last stretch is next to the first.
    """

    distance: Float[Tensor, "stretches"]
    length: Float[Tensor, "stretches"]
    share: Float[Tensor, "stretches"]
    share_low: Float[Tensor, "stretches"]
    share_high: Float[Tensor, "stretches"]
    free_energy_kt: Float[Tensor, "stretches"]
    free_energy_low_kt: Float[Tensor, "stretches"]
    free_energy_high_kt: Float[Tensor, "stretches"]
    counted: Float[Tensor, "stretches"]
    particle_error: Float[Tensor, "stretches"]
    draws: Float[Tensor, "draws stretches"]
    state: Int64[Tensor, "stretches"] | None = None
    unit: str = "Å"
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvesAnswer:
    """What two halves of the particles, each analysed by itself, have in common.

    Attributes
    ----------
    is_reproducible
        Whether there is anything.
    verdict
        In words, a sentence.
    page
        Where the comparison is shown.
    """

    is_reproducible: bool
    verdict: str
    page: str


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
    group_models
        One for the middle of each separate group, where there are several.
    paths
        What moves; the first is the most important.
    populations, density
        How many particles are where along the first path, and over the principal plane.
    unseeing
        Share of the particles whose image does not see the motion.
    halves
        What two halves of the particles have in common.
    domains
        Motions of single domains.
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
    group_models: GaussianModel | None = None
    paths: tuple[DecodedPath, ...] = ()
    populations: Populations | None = None
    density: PlaneDensity | None = None
    unseeing: float | None = None
    halves: HalvesAnswer | None = None
    domains: tuple[DomainMotion, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
