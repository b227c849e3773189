"""The whole job on either half of a small set, and what is refused before it begins."""

import json
import re

import numpy as np
import pytest

from cryomix import cli
from cryomix.commands.report import write_report
from cryomix.files.checkpoint import read_array
from cryomix.files.job import JobFolder
from cryomix.files.run_record import read_run_record
from cryomix.files.star import read_star

pytestmark = pytest.mark.slow  # two whole jobs

SYSTEM = ["--particles", "240", "--box", "24", "--pixel-size", "8", "--snr", "1", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--epochs", "2", "--hidden", "16", "--gaussians", "64"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce") / "linear"
    assert call("simulate", "linear", "-o", folder, *SYSTEM) == 0
    return folder


def arguments(folder, out, *more):
    inputs = [folder / "particles.star", "--map", folder / "consensus.mrc"]
    return ["reproduce", *inputs, "-o", out, *QUICK, *more]


@pytest.fixture(scope="module")
def twice(simulated, tmp_path_factory):
    out = tmp_path_factory.mktemp("twice") / "twice"
    assert call(*arguments(simulated, out)) == 0
    return out


def test_each_half_is_a_job_on_its_own_particles(twice, simulated):
    rows = read_star(simulated / "particles.star").blocks[1].column("rlnImageName")
    for half, first in (("odd", 0), ("even", 1)):
        job = twice / half
        assert read_array(job / "latents.npy").shape == (120, 1)
        own = read_star(job / "particles.star").blocks[1].column("rlnImageName")
        assert [name.split("@")[0] for name in own] == [
            name.split("@")[0] for name in rows[first::2]
        ]
        assert (job / "report.html").is_file()
        assert (job / "volumes" / "cluster01.mrc").is_file()
    seeds = [read_run_record(twice / half / "run.toml").seed for half in ("odd", "even")]
    assert seeds == [0, 1]
    models = [read_array(twice / half / "latents.npy") for half in ("odd", "even")]
    assert not np.array_equal(*models)


def test_the_verdict_is_written_in_numbers_and_words(twice):
    told = json.loads((twice / "reproducibility.json").read_text())
    assert told["verdict"][0].startswith(("Reproducible: ", "Nothing reproducible."))
    assert len(told["dimensions"]["odd"]) == len(told["dimensions"]["even"]) == 1
    assert told["gain_nats"]["odd"]["mean"] <= told["gain_nats"]["odd"]["over_neutral"] + 1e-9
    pairs = {(each["odd"], each["even"]) for each in told["classes"]}
    assert len(pairs) == len({odd for odd, _ in pairs}) == min(told["clusters"].values())
    page = (twice / "report.html").read_text()
    assert told["verdict"][0] in page
    assert not re.search(r"src=[\"'](?!data:)|<link|@import", page)
    half = JobFolder(twice / "odd")
    assert told["verdict"][0] not in half.report.read_text()  # it was made before the comparison
    write_report(half)
    assert f"(../report.html): {told['verdict'][0]}" in half.report.read_text()


def test_a_resumed_test_compares_again_and_trains_nothing(twice, simulated, capsys):
    before = (twice / "reproducibility.json").read_bytes()
    assert call(*arguments(simulated, twice)) == 2
    assert "already holds a job" in capsys.readouterr().err
    assert call(*arguments(simulated, twice, "--resume")) == 0
    assert "odd: is done already" in capsys.readouterr().err
    assert (twice / "reproducibility.json").read_bytes() == before
    assert call(*arguments(simulated, twice, "--resume", "--seed", "4")) == 2


def test_a_half_can_be_analysed_by_itself(twice):
    assert call("analyze", twice / "even", "--clusters", "2") == 0
    table = read_star(twice / "even" / "particles.star").blocks[1]
    assert len(table.column("cryomixCluster")) == 120


def test_train_takes_one_half(twice, simulated, tmp_path, capsys):
    quick = [flag for flag in QUICK if flag not in ("--gaussians", "64")]
    model = twice / "odd" / "neutral"
    command = ["train", simulated / "particles.star", "--neutral", model, *quick]
    assert call(*command, "--half", "even", "-o", tmp_path / "even") == 0
    assert read_array(tmp_path / "even" / "latents.npy").shape == (120, 1)
    assert call(*command, "--half", "odd", "-o", tmp_path / "even", "--resume") == 2
    assert "needs the same half as before, 'even', got 'odd'" in capsys.readouterr().err


def test_halves_that_are_not_there_are_refused(simulated, tmp_path, capsys):
    star = simulated / "particles.star"
    table = read_star(star).blocks[1]
    assert "rlnRandomSubset" in table.labels
    spoiled = simulated / "one_half.star"
    lines = star.read_text().splitlines()
    column = int(next(re.search(r"_rlnRandomSubset #(\d+)", x) for x in lines if "Subset" in x)[1])
    kept = []
    for line in lines:
        fields = line.split()
        if "@" in line:
            fields[column - 1] = "1"
            line = " ".join(fields)
        kept.append(line)
    spoiled.write_text("\n".join(kept) + "\n")
    command = arguments(simulated, tmp_path / "out")
    command[1] = spoiled
    assert call(*command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "the even half needs particles of half set 2, got none" in error
    assert not (tmp_path / "out").exists()
