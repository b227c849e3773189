"""Scenes for ChimeraX: a folder of maps and arrows, and the commands that show them."""

from collections.abc import Sequence
from pathlib import Path

from cryomix.files.atomic import write_atomically
from cryomix.files.mrc import write_volume
from cryomix.imaging.volume import Volume

_MAPS = "maps"
_COLOR = "#9fb6cd"
_TRANSPARENCY = 40  # percent, so that arrows show inside
_RATE = 6  # maps per second
_FRAMES_PER_STEP = 15  # of a morph


def write_scene(
    folder: Path, maps: Sequence[Volume], level: float, arrows: Sequence[str], about: str
) -> None:
    """Write maps, and scripts beside them: ``show.cxc`` plays them in order, ``morph.cxc`` blends.

    The scripts name files by where they are from the scripts, which ChimeraX looks for there: the
    folder may be moved.

    Parameters
    ----------
    folder
        Where ``arrows`` are already.
    maps
        At least two, in order, on one grid.
    level
        Of their contour.
    arrows
        Names of .bild files in `folder`.
    about
        A line about the maps, for who reads the scripts.
    """
    for number, volume in enumerate(maps, start=1):
        write_volume(folder / _MAPS / f"state{number:03d}.mrc", volume)
    # In ChimeraX the series is model 1, and its maps are 1.1, 1.2 and on.
    looks = f"style surface step 1 level {level:.6g} color {_COLOR}"
    show = [
        f"# {' '.join(about.replace(';', ',').split())}",  # a semicolon would end it
        "close",
        f"open {_MAPS}/state*.mrc vseries true",
        f"volume #1 {looks}",
        f"transparency #1 {_TRANSPARENCY} target s",
        *(f"open {name}" for name in arrows),
        "lighting soft",
        "set bgColor white",
        "view",
        "view name cryomix",
        f"vseries play #1 loop true direction oscillate maxFrameRate {_RATE}",
    ]
    frames = _FRAMES_PER_STEP * (len(maps) - 1)
    morph = [
        "# After show.cxc: one map that changes without steps, between maps as they are",
        "vseries stop #1",
        f"volume morph #1.1-{len(maps)} frames {2 * frames} playStep {1 / frames:.4f}",
        "view cryomix",
    ]
    _write_script(folder / "morph.cxc", morph)
    _write_script(folder / "show.cxc", show)


def _write_script(path: Path, lines: Sequence[str]) -> None:
    with write_atomically(path) as file:
        file.write(("\n".join(lines) + "\n").encode())
