"""Content of a report as a real job would give it: an arm that swings, and a part that leaves."""

import math

import pytest
import torch

from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.volume import Volume
from cryomix.latent.clusters import cluster
from cryomix.latent.latent_map import LatentMap
from cryomix.latent.reduction import fit_pca, fit_umap
from cryomix.latent.trajectory import along_principal_curve
from cryomix.report.content import (
    Curve,
    DecodedPath,
    EpochScore,
    InputFacts,
    RebuiltMap,
    ReportContent,
)

STEPS = 5


def swinging_arm() -> GaussianModel:
    """A core of 300 Gaussians, an arm of 80 that swings by 60°, a ligand of 20 that leaves."""
    generator = torch.Generator().manual_seed(2)
    core = torch.randn(300, 3, generator=generator) * torch.tensor([14.0, 14, 18])
    arm = torch.randn(80, 3, generator=generator) * torch.tensor([12.0, 5, 5]) + torch.tensor(
        [52.0, 0, 10]
    )
    ligand = torch.randn(20, 3, generator=generator) * 4 + torch.tensor([-10.0, -38, 0])
    center, amplitude = [], []
    for step in range(STEPS):
        angle = math.radians(-30 + 60 * step / (STEPS - 1))
        turn = torch.tensor(
            [
                [math.cos(angle), -math.sin(angle), 0],
                [math.sin(angle), math.cos(angle), 0],
                [0, 0, 1],
            ]
        )
        tremble = 0.3 * torch.randn(300, 3, generator=generator)
        center.append(torch.cat([core + tremble, arm @ turn.mT, ligand]))
        amplitude.append(torch.cat([torch.ones(380), torch.full((20,), 1.0 - step / (STEPS - 1))]))
    return GaussianModel(torch.stack(center), torch.stack(amplitude), torch.full((STEPS, 400), 3.5))


def rebuilt_map(name: str, volume: Volume | None, resolution: float) -> RebuiltMap:
    frequency = torch.linspace(0, 0.125, 33)
    correlation = 1 / (1 + torch.exp((frequency - 0.9 / resolution) * 180))
    ripple = 0.03 * torch.sin(frequency * 900)
    curve = Curve(frequency=frequency, correlation=correlation + ripple)
    return RebuiltMap(name=name, particles=800, resolution=resolution, fsc=curve, volume=volume)


def make_content(particles: int, epochs: int) -> ReportContent:
    generator = torch.Generator().manual_seed(1)
    place = torch.rand(particles, generator=generator)
    noise = 0.12 * torch.randn(particles, 4, generator=generator)
    bent = torch.stack([(4 * place).cos(), (4 * place).sin(), 0 * place, 0 * place], dim=1)
    latent = bent + noise
    std = 0.08 + 0.1 * torch.rand(particles, 4, generator=generator)
    pca = fit_pca(latent)
    clusters = cluster(latent)
    models = swinging_arm()
    volumes = [render_volume(models[step], 32, 5.0) for step in range(STEPS)]
    path = DecodedPath(
        name="along the particles",
        models=models,
        trajectory=along_principal_curve(latent, STEPS),
        maps=tuple(rebuilt_map(f"state {n + 1}", v, 13.0 + n) for n, v in enumerate(volumes)),
    )
    history = tuple(
        EpochScore(epoch=n, training=1.9 * (1 - 0.8**n), held_out=1.7 * (1 - 0.78**n))
        for n in range(1, epochs + 1)
    )
    return ReportContent(
        title="Swinging arm",
        subtitle="A simulated molecule with an arm that swings and a ligand that leaves",
        command="cryomix run particles.star --map consensus.mrc -o job",
        created="2026-01-01 12:00",
        versions={"cryomix": "0.1.0", "torch": "2.6"},
        facts=InputFacts(
            particles=particles, box_size=64, pixel_size=4.0, resolution=12.0, gaussians=400
        ),
        neutral_frc=rebuilt_map("neutral", None, 8.0).fsc,
        history=history,
        score_unit="nats",
        latent_map=LatentMap(latent, std, torch.arange(particles), torch.zeros(particles)),
        pca=pca,
        umap=fit_umap(latent, seed=0, epochs=50),
        clusters=clusters,
        cluster_maps=tuple(
            rebuilt_map(f"cluster {n + 1}", volumes[n], 12.5 + n / 2) for n in range(len(clusters))
        ),
        paths=(path,),
        scores={"t_knn_R": 0.9873, "t_spearman": 0.9712},
        warnings=("Poses were taken as given; an error of 3° blurs detail beyond 12 Å.",),
    )


@pytest.fixture(scope="session")
def content() -> ReportContent:
    return make_content(particles=1200, epochs=12)
