"""Movies: GIF and WebP by Pillow, MP4 by PyAV where it is installed."""

import importlib.util
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from cryomix.errors import OutputError
from cryomix.files.atomic import write_atomically

Frames = Sequence[UInt8[np.ndarray, "rows columns 3"]]


def require_movie(path: Path) -> None:
    """Refuse a movie that cannot be written here, before it is drawn.

    Raises
    ------
    OutputError
        If it is an MP4 and PyAV is not installed.
    """
    if path.suffix == ".mp4" and importlib.util.find_spec("av") is None:
        raise OutputError(f"{path}: mp4 needs PyAV: pip install 'cryomix[movie]'; or take gif")


def write_movie(path: Path, frames: Frames, milliseconds: int) -> None:
    """Write `frames`, each shown so long; the suffix says which kind: .gif, .webp or .mp4.

    GIF and WebP begin anew when they end. A GIF counts time in steps of 10 ms. MP4 is H.264, with
    an even number of rows and columns.
    """
    require_movie(path)
    with write_atomically(path) as file:
        if path.suffix == ".mp4":
            _write_mp4(file, frames, milliseconds)
        elif path.suffix == ".gif":
            _write_gif(file, frames, milliseconds)
        else:
            first, *others = [Image.fromarray(frame) for frame in frames]
            first.save(
                file, format="WEBP", save_all=True, append_images=others, duration=milliseconds,
                loop=0, quality=85, method=4,
            )  # fmt: skip


def _write_gif(file: BinaryIO, frames: Frames, milliseconds: int) -> None:
    # One palette for all frames, so that what stays does not flicker.
    palette = _palette(np.concatenate(list(frames)[:: max(1, len(frames) // 8)]))
    first, *others = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    first.save(
        file, format="GIF", save_all=True, append_images=others, duration=milliseconds, loop=0,
        optimize=False,
    )  # fmt: skip


def _palette(pixels: UInt8[np.ndarray, "rows columns 3"]) -> Image.Image:
    """White, and 255 colours for all others, of which rare ones count as well as common ones."""
    packed = pixels.reshape(-1, 3).astype(np.int64) @ (65536, 256, 1)
    colors, count = np.unique(packed[packed != 0xFFFFFF], return_counts=True)
    often = np.repeat(colors, np.ceil(np.sqrt(count)).astype(np.int64))
    swatch = np.stack([often >> 16, often >> 8 & 255, often & 255], axis=-1).astype(np.uint8)
    found = Image.fromarray(swatch[None]).quantize(255, Image.Quantize.MEDIANCUT, kmeans=1)
    palette = Image.new("P", (1, 1))
    palette.putpalette([255, 255, 255, *(found.getpalette() or [])][: 3 * 256])
    return palette


def _write_mp4(file: BinaryIO, frames: Frames, milliseconds: int) -> None:
    import av  # an optional dependency

    rows, columns, _ = frames[0].shape
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(1000, milliseconds))
        stream.width, stream.height, stream.pix_fmt = columns, rows, "yuv420p"
        stream.options = {"crf": "18"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
