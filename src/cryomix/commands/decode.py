"""`cryomix decode`: Gaussian models at given latents."""

from typing import Annotated

from cyclopts import Parameter

from cryomix.commands.flags import Flat, JobPath, OutFolder, Seed
from cryomix.commands.latent_points import POINT_HELP
from cryomix.errors import OptionError
from cryomix.options import RuntimeOptions

_RUNTIME = RuntimeOptions()


def decode(
    job: JobPath,
    *latents: Annotated[str, Parameter(allow_leading_hyphen=True, help=POINT_HELP)],
    out: OutFolder,
    eman2: Annotated[
        bool, Parameter(negative="", help="also write each model as text, as e2gmm of EMAN2 does")
    ] = False,
    seed: Seed = 0,
    runtime: Annotated[RuntimeOptions, Flat] = _RUNTIME,
) -> None:
    """Write the Gaussian model of each latent, and its density.

    Writes state001.safetensors, state001.mrc and on, in the order of the points; with --eman2 also
    state001.txt.

        cryomix decode job job/analysis/trajectories/curve.npy -o models
        cryomix decode job 0.5,-1.2 cluster:3 particle:1204 -o models
        cryomix decode job latents.npy -o models --eman2
    """
    from dataclasses import replace

    import torch

    from cryomix.commands.device import prepare_device
    from cryomix.commands.latent_points import named_files, read_points
    from cryomix.files.checkpoint import write_gaussians
    from cryomix.files.eman2_gaussians import write_gaussian_text
    from cryomix.files.job import create_job, open_job
    from cryomix.files.mrc import read_volume, write_volume
    from cryomix.files.run_record import write_run_record
    from cryomix.files.training import read_model
    from cryomix.imaging.gaussians import render_volume

    device = prepare_device(runtime)
    folder = open_job(job, needs=("model", "neutral_map"))
    if not latents:
        raise OptionError("decode needs latents: a file, cluster:3, particle:1204 or 0.5,-1.2")
    model = read_model(folder.model)
    wanted = read_points(folder, latents, model.settings.latent_size)
    grid = read_volume(folder.neutral_map)
    written = create_job(out, resume=False)

    models = [model.decode(row[None])[0] for row in torch.from_numpy(wanted)]

    for number, decoded in enumerate(models, start=1):
        write_gaussians(out / f"state{number:03d}.safetensors", decoded)
        if eman2:
            length = model.settings.grid.box_length
            write_gaussian_text(out / f"state{number:03d}.txt", decoded, length)
        density = render_volume(decoded, grid.box_size, grid.voxel_size)
        write_volume(out / f"state{number:03d}.mrc", replace(density, origin=grid.origin))
    settings = {"job": str(job), "latents": list(latents), "eman2": eman2}
    inputs = [folder.model, *named_files(latents)]
    write_run_record(written.run_record, "decode", settings, inputs, seed, str(device))
    print(f"{out}: {len(models)} models")
