"""The figures of the pages, small, from the folders of `make demo` and of `cryomix draw`.

make demo
cryomix draw demo curve -o drawn
python docs/make_figures.py demo drawn
"""

import sys
from pathlib import Path

from PIL import Image, ImageSequence

_FIGURES = Path(__file__).parent / "figures"
_MOST = {"demo.png": 300_000, "motion.webp": 1_500_000}  # bytes


def make_figures(job: Path, drawn: Path) -> None:
    """Write demo.png (the overview in 256 colours) and motion.webp (the movie of the models)."""
    with Image.open(job / "overview.png") as overview:
        small = overview.convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small.save(_FIGURES / "demo.png", optimize=True)
    with Image.open(drawn / "models.gif") as movie:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(movie)]
        shown_ms = movie.info["duration"]
    frames[0].save(
        _FIGURES / "motion.webp", save_all=True, append_images=frames[1:], duration=shown_ms,
        loop=0, quality=60, method=4,
    )  # fmt: skip
    for name, most in _MOST.items():
        size = (_FIGURES / name).stat().st_size
        if size > most:
            raise SystemExit(f"{name}: must be at most {most} bytes, got {size}")


if __name__ == "__main__":
    make_figures(*(Path(argument) for argument in sys.argv[1:3]))
