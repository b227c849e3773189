"""Maps and arrows of states as a folder for ChimeraX, for `cryomix export`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import OptionError

if TYPE_CHECKING:
    from cryomix.commands.decoded_states import DecodedStates
    from cryomix.files.job import JobFolder
    from cryomix.imaging.gaussians import GaussianModel
    from cryomix.imaging.volume import Volume
    from cryomix.options import SceneOptions, StatesOptions
    from cryomix.report.motion_arrows import Arrows

_SURE = 2.0  # standard errors: what turns less has no axis
_AXIS_COLOR = (0.85, 0.33, 0.1)
_AXIS_THICKNESS = 2.0
_LEAST_KEPT = 0.3  # of density, for it to have a place where it ends


def export_scene(
    job: "JobFolder", out: Path, states: "StatesOptions", scene: "SceneOptions"
) -> str:
    """Write maps, arrows, axes of domains and scripts; what there is to say of them.

    Maps are those that `reconstruct` made of the states, where it made all, or else the density of
    the models.

    Raises
    ------
    OptionError
        If there are not at least two states, or `between` names others.
    """
    from cryomix.commands.decoded_states import decode_states
    from cryomix.files.chimerax import write_scene
    from cryomix.imaging.masking import contour_level

    if states.atoms is not None or states.b_factor != "amplitude":
        raise OptionError("--atoms, --b-factor: are of --to cif and pdb, got --to chimerax")
    decoded = decode_states(job, states)
    if len(decoded) < 2:
        raise OptionError(
            f"--to chimerax: needs 2 states or more (--along, --at, --clusters), got {len(decoded)}"
        )
    first, last = scene.between or (1, len(decoded))
    if max(first, last) > len(decoded):
        raise OptionError(f"--between: takes states 1 to {len(decoded)}, got {first} {last}")

    rebuilt = _read_maps(job, decoded)
    maps = rebuilt or _render(decoded)
    level = sum(map(contour_level, maps)) / len(maps)
    arrows = _arrows(decoded.models, first - 1, last - 1, is_path=states.along is not None)

    longest = _write_arrows(out / "arrows.bild", arrows, decoded, scene.scale, (first, last))
    files = ["arrows.bild", *_write_axes(job, out, decoded)]
    kind = "rebuilt from particles" if rebuilt else "of the Gaussian models"
    write_scene(out, maps, level, files, f"{len(maps)} maps {kind}: {decoded.source}")
    return (
        f"{out}: {len(maps)} maps {kind} ({decoded.source}); {len(arrows)} arrows from state "
        f"{first} to {last}, up to {longest:.1f} Å\n{out}: open show.cxc in ChimeraX"
    )


def _read_maps(job: "JobFolder", states: "DecodedStates") -> "list[Volume]":
    from cryomix.files.mrc import read_volume

    files = [job.volumes / f"{name}.mrc" for name in states.map_names or ()]
    return [read_volume(file) for file in files] if all(file.is_file() for file in files) else []


def _render(states: "DecodedStates") -> "list[Volume]":
    from cryomix.imaging.gaussians import render_volume

    frame = states.frame
    return [
        replace(
            render_volume(states.models[number], frame.box_size, frame.voxel_size),
            origin=frame.origin,
        )
        for number in range(len(states))
    ]


def _arrows(models: "GaussianModel", first: int, last: int, *, is_path: bool) -> "Arrows":
    """Ways of density, followed along a path, else straight from state to state."""
    import torch

    from cryomix.latent.flow import follow_density
    from cryomix.report.motion_arrows import gather_arrows

    step = 1 if last > first else -1
    way = list(range(first, last + step, step)) if is_path else [first, last]
    # Density that is followed is smeared at each step: also that of a molecule at rest.
    still = follow_density(models[torch.full((len(way),), first)])
    flow = follow_density(models[torch.tensor(way)])
    there = (flow.kept[-1] > _LEAST_KEPT).double() * flow.kept[-1] * flow.mass[0]
    return gather_arrows(flow.place[0], flow.place[-1] - still.place[-1], there)


def _write_arrows(
    path: Path, arrows: "Arrows", states: "DecodedStates", scale: float, between: tuple[int, int]
) -> float:
    """The length of the longest displacement, Å."""
    from cryomix.files.bild import write_arrows
    from cryomix.report.motion_arrows import color_by_length

    length = arrows.displacement.norm(dim=1).numpy()
    longest = float(length.max(initial=0))
    start = states.frame.place(arrows.start).numpy()
    end = start + scale * arrows.displacement.numpy()
    note = (
        f"Displacement of density from state {between[0]} to {between[1]}, drawn {scale:g} times "
        f"as long; color by length, 0 to {longest:.2f} Å"
    )
    write_arrows(path, start, end, color_by_length(length), note)
    return longest


def _write_axes(job: "JobFolder", out: Path, states: "DecodedStates") -> list[str]:
    """Axes about which domains surely turn, right-handed; the name of their file, if any do."""
    import numpy as np

    from cryomix.files.bild import write_arrows
    from cryomix.files.domain_motions import read_domain_motions

    turning = [
        motion
        for motion in read_domain_motions(job.domain_motions)
        if motion.rigid.angle_deg > max(1.0, _SURE * motion.rigid.angle_error_deg)
    ]
    if not turning:
        return []
    reach = 0.6 * float(states.models.center[0].norm(dim=1).quantile(0.95))
    hinge = np.stack([states.frame.place(motion.rigid.hinge).numpy() for motion in turning])
    half = reach * np.stack([motion.rigid.axis.numpy() for motion in turning])
    told = "; ".join(f"{motion.name} {motion.rigid.angle_deg:.0f} degrees" for motion in turning)
    write_arrows(
        out / "axes.bild", hinge - half, hinge + half, np.tile(_AXIS_COLOR, (len(turning), 1)),
        f"Axes about which domains turn, right-handed: {told}", thickness=_AXIS_THICKNESS,
    )  # fmt: skip
    return ["axes.bild"]
