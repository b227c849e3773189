import importlib.util

import numpy as np
import pytest
from PIL import Image

from cryomix.errors import OutputError
from cryomix.files.movie import write_movie


@pytest.fixture
def frames() -> list[np.ndarray]:
    """A dark square that goes to the right on white, and a row of colours."""
    pictures = []
    for step in range(9):
        picture = np.full((64, 96, 3), 255, np.uint8)
        picture[20:40, 8 * step : 8 * step + 20] = (200, 80, 0)
        picture[50:60] = np.linspace(0, 255, 96).astype(np.uint8)[None, :, None]
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_a_movie_holds_its_frames_for_their_time(tmp_path, frames, kind):
    path = tmp_path / f"movie.{kind}"
    write_movie(path, frames, 80)
    with Image.open(path) as movie:
        assert movie.n_frames == len(frames)
        assert movie.info["loop"] == 0
        for number, frame in enumerate(frames):
            movie.seek(number)
            shown = np.asarray(movie.convert("RGB"), dtype=float)
            assert np.abs(shown - frame).mean() < 4
            assert movie.info["duration"] == 80
    assert [path.name for path in tmp_path.iterdir()] == [f"movie.{kind}"]


def test_the_background_of_a_gif_is_white_and_even(tmp_path, frames):
    write_movie(tmp_path / "movie.gif", frames, 80)
    with Image.open(tmp_path / "movie.gif") as movie:
        shown = np.asarray(movie.convert("RGB"))
    white = shown[(frames[0] == 255).all(axis=2)]
    assert white.min() >= 250
    assert len(np.unique(white)) == 1


def test_a_video_holds_its_frames(tmp_path, frames):
    av = pytest.importorskip("av", reason="needs the extra `movie`")
    write_movie(tmp_path / "movie.mp4", frames, 80)
    with av.open(tmp_path / "movie.mp4") as container:
        assert float(container.streams.video[0].average_rate) == pytest.approx(12.5)
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(shown) == len(frames)
    for one, frame in zip(shown, frames, strict=True):
        assert np.abs(one.astype(float) - frame).mean() < 8


def test_a_video_without_its_program_is_refused(tmp_path, frames, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match=r"movie.mp4: mp4 needs PyAV: pip install 'cryomix\[mov"):
        write_movie(tmp_path / "movie.mp4", frames, 80)
    assert not list(tmp_path.iterdir())
