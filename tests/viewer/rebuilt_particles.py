"""Images for the particles of a job, to rebuild maps from, and the processes that do so."""

import os
from pathlib import Path

import numpy as np
import torch

from cryomix.files.mrc import write_stack, write_volume
from cryomix.geometry.fourier import FourierGrid, to_real
from cryomix.geometry.poses import Poses
from cryomix.imaging.ctf import evaluate_ctf
from cryomix.imaging.gaussians import GaussianModel, render_volume
from cryomix.imaging.projection_reference import project_gaussians_reference


def make_images(job, arm, make_ctf):
    """A ball in noise for every particle of `job`, to rebuild maps from, and its neutral map."""
    count = len(np.load(job.latents))
    grid = FourierGrid(48, 4.0)
    ball = GaussianModel(torch.zeros(1, 3), torch.ones(1), torch.full((1,), 12.0))
    pose = Poses(torch.eye(3)[None], torch.zeros(1, 2))
    image = to_real(project_gaussians_reference(ball, pose, grid) * evaluate_ctf(make_ctf(1), grid))
    noise = torch.randn(count, 48, 48, generator=torch.Generator().manual_seed(1))
    write_stack(job.path / "a.mrcs", [image + 0.3 * image.std() * noise], 4.0)
    write_volume(job.neutral_map, render_volume(arm.decoder.neutral, 48, 4.0))
    labels = ["ImageName", "OpticsGroup", "DefocusU", "DefocusV", "DefocusAngle", "AngleRot"]
    labels += ["AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst"]
    rows = [f"{i + 1:06d}@a.mrcs 1 8300 7700 0 {i % 360} {i % 180} 0 0 0" for i in range(count)]
    head = ["data_optics", "loop_", "_rlnOpticsGroup", "_rlnImagePixelSize", "_rlnImageSize"]
    head += [
        "_rlnVoltage",
        "_rlnSphericalAberration",
        "_rlnAmplitudeContrast",
        "1 4 48 300 2.7 0.1",
    ]
    table = ["", "data_particles", "", "loop_", *(f"_rln{label}" for label in labels), *rows, ""]
    (job.path / "a.star").write_text("\n".join([*head, *table]))


def rebuilding():
    """Numbers of the processes of this one that rebuild maps."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except (OSError, IndexError):
            continue
        if parent == os.getpid() and b"reconstruct" in words:
            found.append(int(folder.name))
    return found
