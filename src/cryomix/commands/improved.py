"""One map of all particles, moving parts carried back to where they are at rest."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from cryomix.commands.states import StateMap
    from cryomix.files.job import JobFolder
    from cryomix.geometry.rigid_motion import RigidMotion
    from cryomix.imaging.particles import Particles
    from cryomix.imaging.volume import Volume
    from cryomix.latent.bodies import RigidBodies
    from cryomix.reconstruction.body_maps import Verdict
    from cryomix.reconstruction.resolution import HalfMaps

SEARCHED = 32  # states among which bodies are looked for
FOLLOWED = 384  # states at which their motions are then known
LEAST_MOTION = 1.0  # Å, root mean square: below, a body is at rest


@dataclass(frozen=True, slots=True)
class ImprovedMap:
    """What was rebuilt.

    Attributes
    ----------
    halves
        Unfiltered. Those of the consensus where nothing moves.
    latent
        Of the state that the map shows.
    mask
        Where that state has density.
    distances
        Root mean square motion of each body that moves, Å.
    verdict
        None where nothing moves.
    """

    halves: "HalfMaps"
    latent: "Tensor"
    mask: "Volume"
    distances: list[float]
    verdict: "Verdict | None"

    def as_state(self, particles: int) -> "StateMap":
        """For writing: all particles count the same in every shell."""
        import torch

        from cryomix.commands.states import StateMap

        count = torch.full((self.halves.first.box_size // 2 + 1,), particles)
        return StateMap(self.halves, count, is_weighted=False)


def rebuild_improved(
    job: "JobFolder", particles: "Particles", padding: float
) -> ImprovedMap | None:
    """The map, with half maps; None in all but the first of many processes."""
    import torch

    from cryomix.commands.progress import counting
    from cryomix.geometry.rigid_motion import RigidMotion, follow_motion
    from cryomix.processes import agree, is_first_process, take_from_first
    from cryomix.reconstruction.backprojection import reconstruct_groups

    everyone = [torch.arange(len(particles))]
    search = _Motions(job, len(particles)) if is_first_process() else None
    count = agree(0 if search is None else len(search.moving))
    motions = [
        RigidMotion(torch.zeros(len(particles), 3, 3), torch.zeros(len(particles), 3))
        if search is None
        else search.motion.of(body)
        for body in (range(count) if search is None else search.moving)
    ]
    maps = []
    for number in range(count + 1):
        seen = particles
        if number:
            motion = motions[number - 1]
            take_from_first([motion.rotation, motion.shift])
            seen = replace(particles, poses=follow_motion(particles.poses, motion))
        with counting(f"map {number + 1} of {count + 1}: particles inserted") as report:
            maps += reconstruct_groups(seen, everyone, padding=padding, report=report)
    return None if search is None else _assemble(search, maps)


class _Motions:
    """The bodies of a job's molecule, and how each particle's have moved."""

    def __init__(self, job: "JobFolder", particles: int) -> None:
        import torch

        from cryomix.commands.progress import say
        from cryomix.files.training import read_latents, read_model
        from cryomix.latent.bodies import find_bodies
        from cryomix.latent.body_motion import (
            choose_states,
            distance_moved,
            follow_bodies,
            interpolate_motions,
        )

        model = read_model(job.model)
        latent = torch.from_numpy(read_latents(job.latents, model.settings.latent_size))
        few = choose_states(latent, SEARCHED)
        self.bodies: RigidBodies = find_bodies(model.decode(few.latent), few.share)
        self.latent = few.latent[self.bodies.reference]
        self.moving: list[int] = []
        self.distances: list[float] = []
        if len(self.bodies) == 1:
            say("no part was found that moves by itself")
            return
        say(f"{len(self.bodies)} bodies; following them")
        many = choose_states(latent, FOLLOWED)
        start = interpolate_motions(self.bodies, few.latent, self.bodies.motion, many.latent)
        motion = follow_bodies(self.bodies, model.decode(many.latent), start)
        self.motion: RigidMotion = interpolate_motions(self.bodies, many.latent, motion, latent)
        for body in range(len(self.bodies)):
            distance = distance_moved(self.bodies, body, self.motion.of(body))
            if distance >= LEAST_MOTION:
                self.moving.append(body)
                self.distances.append(distance)


def _assemble(search: _Motions, maps: "list[HalfMaps]") -> ImprovedMap:
    """Each body that moves from its own map, all else from the consensus, the first."""
    import torch

    from cryomix.imaging.gaussians import render_volume
    from cryomix.imaging.masking import soft_mask
    from cryomix.reconstruction.body_maps import blend, body_shares, judge, moving_region

    bodies, consensus = search.bodies, maps[0]
    n, size = consensus.first.box_size, consensus.first.voxel_size
    mask = soft_mask(render_volume(bodies.rest, n, size), max(15.0, 3 * size))
    if not search.moving:
        return ImprovedMap(consensus, search.latent, mask, [], None)
    own = dict(zip(search.moving, maps[1:], strict=True))
    chosen = [own.get(body, consensus) for body in range(len(bodies))]
    halves = blend(chosen, body_shares(bodies.rest, bodies.label, n, size))
    moving = torch.isin(bodies.label, torch.tensor(search.moving))
    region = moving_region(bodies.rest, moving, n, size)
    verdict = judge(consensus, halves, region)
    return ImprovedMap(halves, search.latent, mask, search.distances, verdict)


def describe_improved(improved: ImprovedMap) -> str:
    """Whether it helped, as the command says it."""
    verdict = improved.verdict
    if verdict is None:
        return "improved: did not help: nothing moves; it is the consensus of all particles"
    ways = ", ".join(f"{distance:.0f}" for distance in improved.distances)
    before, after = verdict.resolutions
    said = "helped" if verdict.helped else "did not help; use the consensus"
    return (
        f"improved: {said}: inside what moves (by {ways} Å rms) {before:.1f} Å before, "
        f"{after:.1f} Å after (FSC 0.5 of the half maps)"
    )


def write_comparison(folder: Path, improved: ImprovedMap) -> None:
    """The latent of the state that is shown, and the FSC inside what moves before and after."""
    from cryomix.files.checkpoint import write_array, write_csv

    write_array(folder / "improved_latent.npy", improved.latent[None].numpy())
    if improved.verdict is None:
        return
    verdict = improved.verdict
    length = verdict.box_size * verdict.voxel_size
    curves = zip(verdict.before.tolist(), verdict.after.tolist(), strict=True)
    rows = [(shell, shell / length, *values) for shell, values in enumerate(curves)]
    header = ["shell", "frequency", "before", "after"]
    write_csv(folder / "fsc" / "improved_moving.csv", header, rows)
