"""What a page may ask about paths, and what is refused."""

import asyncio
import json

import numpy as np
import pytest

from cryomix.commands.exploration import read_exploration
from cryomix.viewer.path_plan import differing
from cryomix.viewer.path_strip import SAMPLES, sample_path
from cryomix.viewer.session import Session


def ask(job, **message):
    async def run():
        session = Session(read_exploration(job), lambda task: None)
        return await session.act(message)

    answer = asyncio.run(run())
    json.dumps(answer)
    return answer


def test_a_path_is_laid_without_being_written(job):
    points = [[0, 0, 0], [1, 0.5, 0]]
    told = ask(job, do="lay path", name="way", kind="straight", points=points, options={"steps": 3})
    np.testing.assert_allclose(told["latents"], [[0, 0, 0], [0.5, 0.25, 0], [1, 0.5, 0]], atol=1e-6)
    assert told["command"] == (
        f"cryomix trajectory {job.path} straight 0.0,0.0,0.0 1.0,0.5,0.0 --steps 3 -o way"
    )
    assert not (job.trajectories / "way.npy").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "spiral"}, "a path is one of straight, geodesic, through, circle, got 'spiral'"),
        ({"name": "../way"}, "a name must be letters"),
        ({"points": [[0, 0]]}, "rows of 3 finite latents"),
        ({"points": [[0, 0, float("nan")]]}, "rows of 3 finite latents"),
        ({"points": [[0, 0, 0], [0, 0, 0]]}, "1 and 2 are the same"),
        ({"options": {"steps": 1}}, "steps must be at least 2, got 1"),
        ({"options": {"steps": 10**9}}, "steps must be at most 200"),
        ({"options": {"steps": None}}, "options of a path"),
        ({"options": {"plain": 3}}, "options of a path"),
        ({"points": None}, "latents"),
    ],
)
def test_what_makes_no_path_gets_one_line(job, wrong, said):
    good = {"name": "way", "kind": "straight", "points": [[0, 0, 0], [1, 0, 0]], "options": {}}
    answer = ask(job, do="keep path", **{**good, **wrong})
    assert said in answer["error"]
    assert not (job.trajectories / "way.npy").exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"places": []}, "pairs of numbers"),
        ({"places": [[0, 0]] * 61}, "1 to 60 places, got 61"),
        ({"columns": [0, 999]}, "columns"),
        ({"columns": [0, -1]}, "columns"),
        ({"lift": 7}, "7"),
    ],
)
def test_places_that_cannot_be_found_get_one_line(job, wrong, said):
    good = {"places": [[0, 0], [1, 0]], "columns": [0, 1], "lift": 0, "options": {}}
    answer = ask(job, do="lay path", name="way", kind="straight", **{**good, **wrong})
    assert said in answer["error"]


def test_maps_are_rebuilt_only_along_a_path_that_is_kept_and_has_none(job):
    assert "keep it first" in ask(job, do="rebuild path", name="way")["error"]
    job.volumes.mkdir(parents=True)
    (job.volumes / "axis1001.mrc").write_bytes(b"x")
    answer = ask(job, do="rebuild path", name="axis1")
    assert "maps along this path are there already" in answer["error"]


def test_points_that_come_twice_in_a_row_count_once():
    points = np.float32([[0, 0], [0, 0], [1, 0], [0, 0]])
    assert differing(points, is_closed=False).tolist() == [[0, 0], [1, 0], [0, 0]]
    assert differing(points, is_closed=True).tolist() == [[0, 0], [1, 0]]


def test_a_closed_path_is_sampled_until_it_is_back():
    ring = np.float32([[0, 0], [1, 0], [1, 1], [0, 1]])
    sampled = sample_path(ring, is_closed=True)
    assert sampled.shape == (SAMPLES, 2)
    assert (sampled[[0, -1]] == 0).all()
    np.testing.assert_allclose(sampled[:: (SAMPLES - 1) // 4][:4], ring)
    assert (sample_path(ring, is_closed=False)[-1] == [0, 1]).all()
