"""What the explorer shows of a job, read from its folder; what is not there is left out."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import CheckpointError, CryomixError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int64

    from cryomix.files.job import JobFolder
    from cryomix.fitting.trained_model import TrainedModel
    from cryomix.viewer.exploration import (
        Column,
        Decoding,
        Exploration,
        LocalMotion,
        Rule,
        Traces,
    )
    from cryomix.viewer.latent_axes import LatentAxes

_PART = ".*.part"  # files that have not taken their names yet
_ENDS = (1, 99)  # percentiles that a slider goes between


def read_exploration(
    job: "JobFolder",
    before: "LatentAxes | None" = None,
    domains: "Mapping[str, Bool[np.ndarray, 'gaussians']] | None" = None,
) -> "Exploration":
    """All that can be seen of `job`; `domains` are shown beside those that it has.

    While it is being trained its principal components have the signs that they had `before`.

    Raises
    ------
    CheckpointError
        If a file of it is malformed, or has not one row per particle.
    """
    from cryomix.commands.path_desk import JobPathDesk, read_paths
    from cryomix.commands.rebuilt_maps import find_curves, find_maps
    from cryomix.files.training import read_history, read_latents, read_model
    from cryomix.viewer.exploration import Exploration

    # Traces before anything is read: what is written meanwhile is a change.
    seen = Exploration(
        job.path, partial(read_history, job), JobDesk(job), traces=_look(job),
        look=partial(_look, job), again=partial(read_exploration, job, domains=domains),
    )  # fmt: skip
    if not (job.model.is_file() and job.latents.is_file()):
        return _add_unfinished(seen, job, before)
    model = read_model(job.model)
    decoding = _make_decoding(model, read_latents(job.latents, model.settings.latent_size))
    return replace(
        seen,
        decoding=decoding,
        columns=tuple(_columns(job, decoding)),
        paths=read_paths(job, decoding.latent.shape[1]),
        path_desk=JobPathDesk(job, decoding),
        motions=_read_motions(job),
        domains=_read_domains(job, len(decoding.neutral)) | dict(domains or {}),
        maps=partial(find_maps, job),
        curves=partial(find_curves, job),
    )


def _add_unfinished(
    seen: "Exploration", job: "JobFolder", before: "LatentAxes | None"
) -> "Exploration":
    """What there is of a training under way: only scores before its first epoch has ended."""
    from cryomix.commands.training_progress import (
        find_trained_rows,
        held_out_column,
        read_progress,
    )

    progress, found = read_progress(job)
    if found is None:
        # Its state goes when the training ends, which may be now.
        return read_exploration(job) if job.model.is_file() else replace(seen, progress=progress)
    decoding = _make_decoding(found.model, found.latent)
    if before is not None:
        decoding = replace(decoding, axes=decoding.axes.facing(before))
    return replace(
        seen,
        decoding=decoding,
        columns=(
            *_axis_columns(job, decoding),
            held_out_column(found),
            *_file_columns(find_trained_rows(job)),
        ),
        again=partial(read_exploration, job, decoding.axes),
        progress=progress,
    )


def _look(job: "JobFolder") -> "Traces":
    """When the files that the explorer reads were written, and how large those are that grow.

    A file that goes away between its being found and its being looked at raises an `OSError`.
    """
    from cryomix.viewer.exploration import Traces

    once = [job.model, job.latents, job.latent_std, job.information, job.image_score]
    once.append(job.domain_motions)
    results = [*once, *job.analysis.rglob("*.npy"), *job.path.glob("particles.*")]
    if not job.model.is_file():  # the last result of a training; till then its state is looked at
        results = [job.training_state]
    maps = [*job.volumes.glob("*.mrc"), *job.selections.glob("*/*.mrc")]
    return Traces(
        frozenset((path, path.stat().st_mtime_ns) for path in results if path.is_file()),
        frozenset((path, path.stat().st_mtime_ns) for path in maps),
        frozenset((path, path.stat().st_size) for path in job.path.rglob(_PART)),
    )


class JobDesk:
    """Selections in the folder of a job, and the commands that use them."""

    def __init__(self, job: "JobFolder") -> None:
        self._job = job
        self._source = _particle_file(job)

    def condition(self, rule: "Rule", rows: "Int64[np.ndarray, 'selected']") -> str | None:
        """The rule as ``--select`` takes it; None where that does not choose these very rows.

        The page compares rounded numbers, and shows some that ``--select`` has no name for.
        """
        from cryomix.commands.selection import select_particles

        if rule.groups:
            text = f"{rule.column}:{','.join(map(str, rule.groups))}"
        elif rule.low is not None and rule.low == rule.high:
            text = f"{rule.column}={rule.low:.17g}"
        else:
            bounds = ((">=", rule.low), ("<=", rule.high))
            text = " and ".join(
                f"{rule.column}{sign}{bound:.9g}" for sign, bound in bounds if bound is not None
            )
        try:
            chosen = select_particles(self._job, [text]).nonzero()[0]
        except CryomixError:
            return None
        return text if len(chosen) == len(rows) and bool((chosen == rows).all()) else None

    def keep(
        self, name: str, rows: "Int64[np.ndarray, 'selected']", condition: str | None = None
    ) -> str:
        """Write ``selections/NAME.npy``, the rows, and those particles, if the job has their file.

        What comes back is the command that writes these particles, or else that rebuilds their map.
        """
        from cryomix.errors import OutputError
        from cryomix.files.checkpoint import read_array, write_array
        from cryomix.files.particle_file import write_particles

        kept = self._rows(name)
        if kept.is_file():
            before = read_array(kept)
            if before.shape != rows.shape or bool((before != rows).any()):
                raise OutputError(f"{kept}: there is a selection of this name; choose another")
        write_array(kept, rows)
        if self._source is None:
            return shlex.join(["cryomix", *self.rebuild(name, condition)])
        kind = self._source.suffix
        particles = self._job.selections / f"{name}{kind}"
        if not particles.exists():
            write_particles(self._source, particles, rows=rows)
        return shlex.join(
            ["cryomix", "export", str(self._job.path), "--to", kind.removeprefix("."), "-o",
             str(particles), "--select", condition or f"rows:{kept}"]
        )  # fmt: skip

    def scene(self, name: str) -> str:
        """Write ``selections/NAME.states.npy``: the mean latents of all particles and of these.

        What comes back is the command that writes both as a scene for ChimeraX.
        """
        import numpy as np

        from cryomix.files.checkpoint import read_array, write_array

        latent, rows = read_array(self._job.latents), read_array(self._rows(name))
        states = self._job.selections / f"{name}.states.npy"
        write_array(states, np.stack([latent.mean(axis=0), latent[rows].mean(axis=0)]))
        return shlex.join(
            ["cryomix", "export", str(self._job.path), "--to", "chimerax", "--at", str(states),
             "-o", str(self._job.selections / f"{name}.scene")]
        )  # fmt: skip

    def rebuild(self, name: str, condition: str | None = None) -> list[str]:
        """Arguments of ``cryomix reconstruct`` for the selection of this name."""
        from cryomix.errors import OutputError

        out = self._job.selections / name
        if any(out.glob("*.mrc")):
            raise OutputError(f"{out}: there are maps of this name; choose another")
        select = condition or f"rows:{self._rows(name)}"
        return [
            "reconstruct", str(self._job.path), "--select", select, "--no-clusters",
            "-o", str(out),
        ]  # fmt: skip

    def map_name(self, name: str) -> str:
        """Under which that map is listed."""
        from cryomix.commands.rebuilt_maps import name_of_selection

        return name_of_selection(name)

    def clear(self, name: str) -> None:
        """Take away what ``cryomix reconstruct`` wrote of this selection before it was stopped."""
        from cryomix.files.volume_list import remove_unfinished

        remove_unfinished(self._job.selections / name, "selection")

    def _rows(self, name: str) -> Path:
        return self._job.selections / f"{name}.npy"


def _particle_file(job: "JobFolder") -> Path | None:
    """That of the job, with latents and clusters; None if it has none yet."""
    from cryomix.commands.record import find_particles

    try:
        return find_particles(job)
    except CheckpointError:
        return None


def _make_decoding(
    model: "TrainedModel", latent: "Float[np.ndarray, 'particles latent']"
) -> "Decoding":
    import numpy as np
    import torch

    from cryomix.latent.reduction import fit_pca
    from cryomix.viewer.exploration import Decoding
    from cryomix.viewer.latent_axes import LatentAxes

    size = model.settings.latent_size
    pca = fit_pca(torch.from_numpy(latent))
    if pca.basis is None or pca.mean is None:
        raise RuntimeError("principal components without axes")
    basis, mean = pca.basis.numpy(), pca.mean.numpy()
    numbers = range(1, size + 1)
    axes = LatentAxes(
        (*(f"latent{number}" for number in numbers), *(f"pca{number}" for number in numbers)),
        np.concatenate([np.eye(size), basis]),
        np.concatenate([np.zeros(size), -basis @ mean]),
        mean,
    )
    box_length = model.settings.grid.box_length
    return Decoding(latent, model.decode, model.decoder.neutral, axes, box_length)


def _columns(job: "JobFolder", decoding: "Decoding") -> "list[Column]":
    """Axes first, then what particles are coloured by."""
    source = _particle_file(job)
    return [
        *_axis_columns(job, decoding),
        *_found_columns(job, decoding),
        *_file_columns(source),
    ]


def _axis_columns(job: "JobFolder", decoding: "Decoding") -> "list[Column]":
    from cryomix.files.checkpoint import read_array
    from cryomix.viewer.exploration import Column

    count, size = decoding.latent.shape
    place = partial(_place_along, decoding)
    pca, latent = (
        [
            Column(
                f"{name}{axis + 1}", f"{title} {axis + 1}", "number", partial(place, shift + axis)
            )
            for axis in range(size)
        ]
        for name, title, shift in (("pca", "PCA", size), ("latent", "latent", 0))
    )
    if not job.umap.is_file():
        return [*pca, *latent]
    umap = _require_rows(job.umap, read_array(job.umap), count)
    drawn = [
        Column(f"umap{axis + 1}", f"UMAP {axis + 1}", "number", partial(_axis, umap, axis))
        for axis in range(umap.shape[1])
    ]
    return [*pca, *drawn, *latent]


def _found_columns(job: "JobFolder", decoding: "Decoding") -> "list[Column]":
    from cryomix.files.checkpoint import read_array
    from cryomix.viewer.exploration import Column

    count, size = decoding.latent.shape
    found = []
    if job.clusters.is_file():
        label = _require_rows(job.clusters, read_array(job.clusters), count)
        found.append(Column("cluster", "cluster", "category", partial(_as_float, label + 1)))
    if job.latent_std.is_file():
        std = _require_rows(job.latent_std, read_array(job.latent_std), count).reshape(-1, size)
        spread = (std**2).mean(axis=1) ** 0.5
        title = "uncertainty, r.m.s. over the latents"
        found.append(Column("uncertainty", title, "number", partial(_as_float, spread)))
    numbers = {
        "information": (job.information, "information in the image, nats"),
        "image_score": (job.image_score, "score of the image"),
    }
    for path in sorted(job.analysis.glob("coordinate_*.npy")):
        domain = path.stem.removeprefix("coordinate_")
        numbers[path.stem] = (path, f"{domain}: how far it has gone, Å")
    for name, (path, title) in numbers.items():
        if path.is_file():
            values = _require_rows(path, read_array(path), count)
            found.append(Column(name, title, "number", partial(_as_float, values)))
    return found


def _file_columns(source: Path | None) -> "list[Column]":
    from cryomix.commands.particle_columns import find_columns

    return [] if source is None else find_columns(source)


def _place_along(decoding: "Decoding", axis: int) -> "Float[np.ndarray, 'particles']":
    axes = decoding.axes
    return decoding.latent @ axes.direction[axis] + axes.offset[axis]


def _axis(
    place: "Float[np.ndarray, 'particles axes']", axis: int
) -> "Float[np.ndarray, 'particles']":
    return place[:, axis]


def _as_float(values: "np.ndarray") -> "Float[np.ndarray, 'particles']":
    return values.astype("f8")


def _require_rows(path: Path, values: "np.ndarray", count: int) -> "np.ndarray":
    if values.ndim not in (1, 2) or len(values) != count or values.dtype.kind not in "fiub":
        raise CheckpointError(
            f"{path}: must hold numbers for each of {count} particles, got {values.dtype} of "
            f"shape {values.shape}"
        )
    return values


def _read_motions(job: "JobFolder") -> "tuple[LocalMotion, ...]":
    import numpy as np

    from cryomix.files.checkpoint import read_array
    from cryomix.files.domain_motions import read_domain_motions
    from cryomix.viewer.exploration import LocalMotion

    found = []
    for motion in read_domain_motions(job.domain_motions):
        direction, coordinate = job.localized(motion.name), job.domain_coordinate(motion.name)
        if direction.is_file() and coordinate.is_file() and motion.inside > 0:
            low, high = np.percentile(read_array(coordinate).astype(np.float64), _ENDS)
            way = read_array(direction)[0].astype("f4") / motion.inside
            found.append(LocalMotion(motion.name, way.astype("f4"), float(low), float(high)))
    return tuple(found)


def _read_domains(job: "JobFolder", gaussians: int) -> "dict[str, Bool[np.ndarray, 'gaussians']]":
    from cryomix.files.checkpoint import read_array
    from cryomix.files.domain_motions import read_domain_motions

    found = {}
    for motion in read_domain_motions(job.domain_motions):
        path = job.domain_members(motion.name)
        if not path.is_file():  # an analysis of an earlier version
            continue
        inside = read_array(path)
        if inside.shape != (gaussians,) or inside.dtype.kind != "b":
            raise CheckpointError(
                f"{path}: must hold true or false for each of {gaussians} Gaussians, got "
                f"{inside.dtype} of shape {inside.shape}"
            )
        found[motion.name] = inside
    return found
