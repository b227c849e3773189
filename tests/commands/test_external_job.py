"""`cryomix run` as RELION's window calls it: a job in its own folder, told to RELION by files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cryomix import cli
from cryomix.commands.external_job import answer_relion, find_external_job
from cryomix.files.job import create_job
from cryomix.files.mrc import read_volume
from cryomix.files.relion import read_particles
from cryomix.files.star import read_star

OUT = "External/job012/"
PARAMS = ["--latent-dim", "1", "--hidden", "8", "--gaussians", "24", "--no-grow"]
CALL = [
    "run", "--o", OUT, "--in_parts", "Refine3D/job005/particles.star",
    "--in_3dref", "Refine3D/job005/consensus.mrc", "--in_mask", "Refine3D/job005/mask.mrc",
    *PARAMS, "--j", "1",
]  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The folder of a RELION project, with a refinement and an External job that is to begin."""
    monkeypatch.chdir(tmp_path)
    simulate = ["simulate", "linear", "-o", "Refine3D/job005", "--particles", "60"]
    assert cli.main([*simulate, "--box", "24", "--pixel-size", "8", "--snr", "1"]) == 0
    star = tmp_path / "Refine3D/job005/particles.star"
    star.write_text(star.read_text().replace("@particles.mrcs", "@Refine3D/job005/particles.mrcs"))
    folder = tmp_path / OUT
    folder.mkdir(parents=True)
    for name in ("job.star", "note.txt", "run.out", "run.err"):
        (folder / name).touch()
    return tmp_path


def start(*more):
    command = [sys.executable, "-m", "cryomix", *CALL, *more]
    environment = os.environ | {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def marks(folder):
    return sorted(path.name for path in Path(folder).glob("RELION_*"))


def files_outside_the_job(project):
    return {
        path: path.read_bytes()
        for path in project.rglob("*")
        if path.is_file() and not path.is_relative_to(project / OUT)
    }


@pytest.mark.slow
def test_a_job_that_succeeds_names_its_outputs(project):
    before = files_outside_the_job(project)
    (project / OUT / "RELION_JOB_EXIT_FAILURE").touch()  # of an earlier try
    process = start("--epochs", "1", "--pipeline_control", OUT)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert marks(OUT) == ["RELION_JOB_EXIT_SUCCESS", "RELION_OUTPUT_NODES.star"]
    assert files_outside_the_job(project) == before

    nodes = read_star(Path(OUT) / "RELION_OUTPUT_NODES.star").block("output_nodes")
    assert nodes.labels == (
        "rlnPipeLineNodeName", "rlnPipeLineNodeTypeLabel", "rlnPipeLineNodeType",
    )  # fmt: skip
    kind = dict(
        zip(nodes.column("rlnPipeLineNodeName"), nodes.column(nodes.labels[1]), strict=True)
    )
    assert kind.pop(f"{OUT}particles.star") == "ParticleGroupMetadata.star.relion"
    assert len(read_particles(Path(OUT) / "particles.star")) == 60
    assert kind[f"{OUT}volumes/curve001.mrc"] == "DensityMap.mrc"
    assert kind[f"{OUT}volumes/curve001_half1.mrc"] == "DensityMap.mrc.halfmap"
    for name, label in kind.items():
        assert label == "DensityMap.mrc" + (".halfmap" if "half1" in name else "")
        assert read_volume(Path(name.replace("half1", "half2"))).box_size == 24
    assert set(nodes.column("rlnPipeLineNodeType")) == {"3", "6", "10"}


def wait_for(path, process):
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("how", ["window", "queue"])
def test_a_job_that_is_stopped_says_so_and_can_go_on(project, how):
    process = start("--epochs", "10000")
    folder = project / OUT
    wait_for(folder / "run.toml", process)
    if how == "window":
        (folder / "RELION_JOB_ABORT_NOW").touch()
    else:
        process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    # A shell shows 130 either way; Python ends by the signal where it came inside an `exec`.
    assert process.returncode in (130, -signal.SIGINT), error
    assert "interrupted; the same command with --resume continues it" in error
    assert "Traceback" not in error
    assert marks(folder) == ["RELION_JOB_EXIT_ABORTED"]
    create_job(folder, resume=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--in_3dref", "lost.mrc"], "lost.mrc: cannot be read"),
        (["--latent_size", "2"], "--latent_size"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
    ],
)
def test_a_mistake_ends_the_job_as_failed(project, capsys, more, message):
    arguments = CALL.copy()
    if more[0] in arguments:
        place = arguments.index(more[0])
        del arguments[place : place + 2]
    assert cli.main([*arguments, *more]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert marks(OUT) == ["RELION_JOB_EXIT_FAILURE"]
    assert not (project / OUT / "run.toml").exists()


def test_a_mistake_of_ours_ends_the_job_as_failed(tmp_path):
    def fail():
        raise ValueError("shapes differ")

    with pytest.raises(ValueError, match="shapes differ"):
        answer_relion(tmp_path, fail)
    assert marks(tmp_path) == ["RELION_JOB_EXIT_FAILURE"]


def test_a_folder_that_cannot_be_written_gets_one_line(project, capsys, monkeypatch):
    monkeypatch.chdir(project / OUT)
    (project / OUT / "External").touch()
    assert cli.main(CALL) == 2
    assert capsys.readouterr().err.endswith("External/job012: cannot be written: Not a directory\n")


@pytest.mark.parametrize(
    ("tokens", "folder"),
    [
        (CALL, Path("External/job012")),
        (["run", "--o=out", "--in_parts=x.star"], Path("out")),
        (["run", "x.star", "--map", "m.mrc", "-o", "job"], None),
        (["run", "--in_parts", "x.star"], None),
        (["train", "--o", "out", "--in_parts", "x.star"], None),
        ([], None),
    ],
)
def test_only_relions_own_call_is_an_external_job(tokens, folder):
    assert find_external_job(tokens) == folder


def test_what_relion_lays_into_the_folder_is_no_hindrance(tmp_path):
    for name in ("job.star", "run_submit.script", "RELION_JOB_EXIT_FAILURE", ".TMP_runfiles"):
        (tmp_path / name).touch()
    create_job(tmp_path, resume=False)
