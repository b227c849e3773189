"""Arguments that several commands share, as the command line shows them."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

Flat = Parameter(name="*")  # every field of an options class becomes a flag of its own

_PARTICLES = Parameter(
    name=["PARTICLES", "--particles", "--in_parts", "--ptclsin"],
    help="particles with poses and CTF: RELION star file (3.0 to 5), cryoSPARC .cs file (2 to 5), "
    "EMAN2 list (.lst) or stack (.hdf)",
)
ParticlesFile = Annotated[Path, _PARTICLES]
OptionalParticlesFile = Annotated[Path | None, _PARTICLES]
DataFolder = Annotated[
    Path | None,
    Parameter(
        name="--datadir",
        help="folder in which image stacks are looked for first: of a .cs file, its project folder",
    ),
]
Half = Annotated[
    Literal["odd", "even"] | None,
    Parameter(
        help="take one half set: odd is rlnRandomSubset 1, or split or class 0, even is 2, or 1; "
        "without that column, rows 1, 3, 5 … and 2, 4, 6 … [all particles]"
    ),
]
JobPath = Annotated[Path, Parameter(help="job folder that `cryomix train` or `run` wrote")]
MapFile = Annotated[
    Path, Parameter(name=["--map", "--in_3dref"], help="consensus map of the particles (MRC)")
]
MaskFile = Annotated[
    Path | None,
    Parameter(name=["--mask", "--in_mask"], help="mask on the grid of the map, 0 to 1 (MRC)"),
]
OutFolder = Annotated[
    Path, Parameter(name=["--out", "-o", "--o"], help="folder to write; must be empty or new")
]
Resume = Annotated[bool, Parameter(negative="", help="go on with the job that is in the folder")]
Seed = Annotated[int, Parameter(help="taken by every command; this one draws no random numbers")]
