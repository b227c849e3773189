"""Files by which a program and RELION's window tell each other how an External job goes."""

from pathlib import Path
from typing import Literal

from cryomix.files.atomic import cannot_write, write_atomically
from cryomix.files.job import JobFolder
from cryomix.files.star import StarFile, make_block, write_star

End = Literal["SUCCESS", "FAILURE", "ABORTED"]

_ENDS: tuple[End, ...] = ("SUCCESS", "FAILURE", "ABORTED")
_END, _ABORT, _NODES = "RELION_JOB_EXIT_", "RELION_JOB_ABORT_NOW", "RELION_OUTPUT_NODES.star"

# RELION 4 and 5 tell the kind of a file by the label, RELION 3.1 by the number.
_PARTICLES = ("ParticleGroupMetadata.star.relion", 3)
_MAP = ("DensityMap.mrc", 6)
_HALF_MAP = ("DensityMap.mrc.halfmap", 10)


def begin_external_job(folder: Path) -> None:
    """Take away what an earlier run left in the folder of a job, which is made if missing.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (_ABORT, _NODES, *(_END + end for end in _ENDS)):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def is_abort_asked(folder: Path) -> bool:
    """Whether the user chose *Abort running* in RELION's window."""
    return (folder / _ABORT).exists()


def end_external_job(folder: Path, end: End) -> None:
    """Tell RELION how the job ended; after a success, which of its files other jobs can take.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    if end == "SUCCESS":
        _write_output_nodes(JobFolder(folder))
    (folder / _ABORT).unlink(missing_ok=True)
    with write_atomically(folder / (_END + end)):
        pass  # RELION looks for the name only


def _write_output_nodes(job: JobFolder) -> None:
    """Particles, maps, and the first of each two half maps: RELION finds the other by its name."""
    nodes = [(job.path / "particles.star", *_PARTICLES)]
    for path in sorted(job.volumes.glob("*.mrc")):
        if not path.stem.endswith("_half2"):
            nodes.append((path, *(_HALF_MAP if path.stem.endswith("_half1") else _MAP)))
    names, labels, numbers = zip(*nodes, strict=True)
    columns = {
        "rlnPipeLineNodeName": names,
        "rlnPipeLineNodeTypeLabel": labels,
        "rlnPipeLineNodeType": numbers,
    }
    path = job.path / _NODES
    write_star(path, StarFile(path, (make_block("output_nodes", columns),), (b"# version 50001",)))
