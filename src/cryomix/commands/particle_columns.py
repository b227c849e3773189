"""Columns of the user's own particles, by which the explorer colours them and chooses some."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cryomix.errors import MissingColumnError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from cryomix.viewer.exploration import Column, Groups, Kind

_TITLES = {
    "rlnDefocusU": "defocus U, Å",
    "rlnAngleRot": "viewing direction: azimuth, °",
    "rlnAngleTilt": "viewing direction: tilt, °",
    "rlnAnglePsi": "in-plane angle, °",
    "ctf/df1_A": "defocus U, Å",
}
_GOES_ROUND = {"rlnAngleRot", "rlnAnglePsi", "rlnDefocusAngle"}
# Numbers that name a group: their size means nothing.
_NAMED = {
    "rlnOpticsGroup", "rlnClassNumber", "rlnRandomSubset", "rlnBeamTiltClass",
    "alignments3D/split", "alignments3D/class", "ctf/exp_group_id", "location/exp_group_id",
    "mscope_params/exp_group_id", "class",
}  # fmt: skip
# Of each particle another one; and what is no name of a group.
_UNGROUPED = {"rlnImageName", "rlnImageOriginalName", "uid", "ctf", "lst_comment"}
_MOST_NAMES = 24  # as many colours as can be told apart with their names beside them


def find_columns(source: Path) -> "list[Column]":
    """Numbers and groups of a particle file; the columns are read when they are asked for."""
    from cryomix.files.particle_file import columns_of_numbers, read_column
    from cryomix.viewer.exploration import Column

    found = columns_of_numbers(source)
    columns = []
    for name in sorted(found, key=lambda name: (name not in _TITLES, name)):
        title = _TITLES.get(name, name)
        if name.startswith("cryomix"):
            continue
        if name in _NAMED or not found[name]:
            if name not in _UNGROUPED:
                columns.append(Column(name, title, "named", partial(_read_groups, source, name)))
        else:
            kind: Kind = "angle" if name in _GOES_ROUND else "number"
            columns.append(Column(name, title, kind, partial(read_column, source, name)))
    return [*_direction_columns(source), *columns]


def _direction_columns(source: Path) -> "list[Column]":
    """Of programs that keep no angles but poses."""
    from cryomix.files.particle_file import read_directions
    from cryomix.viewer.exploration import Column

    if source.suffix != ".cs":
        return []

    def read(axis: int) -> "Float[np.ndarray, 'particles']":
        directions = read_directions(source)
        if directions is None:
            raise MissingColumnError(f"{source}: has no poses")
        return directions[:, axis]

    kinds: list[tuple[str, Kind]] = [("azimuth", "angle"), ("tilt", "number")]
    return [
        Column(f"direction {name}", f"viewing direction: {name}, °", kind, partial(read, axis))
        for axis, (name, kind) in enumerate(kinds)
    ]


def _read_groups(source: Path, name: str) -> "Groups":
    """The largest groups by name; all smaller ones together."""
    import numpy as np

    from cryomix.files.particle_file import read_text_column
    from cryomix.viewer.exploration import Groups

    column = read_text_column(source, name)
    size = np.bincount(column.number, minlength=len(column.texts))
    order = np.argsort(-size, kind="stable")
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    names = tuple(column.texts[number] for number in order[:_MOST_NAMES].tolist())
    return Groups(names, np.minimum(rank[column.number], len(names)) + 1)
