"""The comparison of halves that belongs to a job is found, and no other."""

import json
import os

import pytest

from cryomix.errors import CheckpointError
from cryomix.files.halves_verdict import find_halves_verdict
from cryomix.files.job import JobFolder
from cryomix.files.run_record import write_run_record

PARTICLES = "/data/particles.star"


def compare(folder, particles, verdict, time):
    """A folder as `cryomix reproduce` leaves it, made at a time in s."""
    folder.mkdir(exist_ok=True)
    write_run_record(folder / "run.toml", "reproduce", {"particles": particles}, [], 0, "cpu")
    told = {"verdict": [verdict, "More."], "reproducible": verdict != "Nothing reproducible."}
    (folder / "reproducibility.json").write_text(json.dumps(told))
    os.utime(folder / "reproducibility.json", (time, time))


def test_the_newest_of_the_same_particles_is_found(tmp_path):
    job = JobFolder(tmp_path / "job")
    assert find_halves_verdict(job, PARTICLES) is None
    compare(tmp_path / "other", "/data/others.star", "Reproducible: all.", 400)
    (tmp_path / "stray").mkdir()
    (tmp_path / "stray" / "reproducibility.json").write_text("{")  # nobody says whose it is
    assert find_halves_verdict(job, PARTICLES) is None
    compare(tmp_path / "first", PARTICLES, "Nothing reproducible.", 200)
    compare(tmp_path / "twice", PARTICLES, "Reproducible: 1 of 1.", 300)
    found = find_halves_verdict(job, PARTICLES)
    assert (found.folder.path, found.is_reproducible) == (tmp_path / "twice", True)
    assert found.verdict == "Reproducible: 1 of 1."


def test_the_job_of_a_half_finds_the_folder_that_holds_it(tmp_path):
    compare(tmp_path, PARTICLES, "Nothing reproducible.", 100)
    found = find_halves_verdict(JobFolder(tmp_path / "odd"), PARTICLES)
    assert (found.folder.path, found.is_reproducible) == (tmp_path, False)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"reproducible": true, "verdict": []}'])
def test_a_damaged_comparison_is_named(tmp_path, content):
    compare(tmp_path / "twice", PARTICLES, "Reproducible: 1 of 1.", 300)
    (tmp_path / "twice" / "reproducibility.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"twice/reproducibility\.json: not a comparison"):
        find_halves_verdict(JobFolder(tmp_path / "job"), PARTICLES)
