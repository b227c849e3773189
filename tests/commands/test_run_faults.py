"""What goes wrong under a run: disks, folders, stacks and kills, and that nothing is lost by it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cryomix import cli
from cryomix.files import training
from cryomix.files.mrc import open_stack, write_stack

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--latent-dim", "1", "--epochs", "3", "--hidden", "8", "--gaussians", "24", "--no-grow"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "linear"
    flags = ["--particles", "120", "--box", "24", "--pixel-size", "8", "--snr", "1"]
    assert call("simulate", "linear", "-o", folder, *flags) == 0
    return folder


def run(folder, job, *more):
    inputs = [folder / "particles.star", "--map", folder / "consensus.mrc"]
    return call("run", *inputs, "-o", job, *QUICK, *more)


@pytest.fixture
def after_an_epoch(monkeypatch):
    """Do something once the state after the first epoch is written."""

    def after_an_epoch(happen):
        write_state = training.write_state

        def write(path, state, settings):
            write_state(path, state, settings)
            if len(state.history) == 1:
                happen()

        monkeypatch.setattr(training, "write_state", write)

    return after_an_epoch


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of so many kB, and give it another size later."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", place],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(reason=f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_a_full_disk_stops_the_run_which_goes_on_on_a_larger_one(simulated, small_disk, capsys):
    job = small_disk / "job"
    assert run(simulated, job) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"cryomix: {job}/")
    assert error.endswith(
        f": cannot be written: No space left on device (the disk at {small_disk} has 0.0 MB left)"
    )
    before = files(job)
    assert before.keys() >= {"run.toml", "neutral/frc.csv"}
    assert [name for name in before if name.endswith(".part")] == []
    assert run(simulated, job, "--resume") == 2  # still full, and still as it was
    assert files(job) == before
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert run(simulated, job, "--resume") == 0
    assert (job / "report.html").is_file()
    assert {name: content for name, content in files(job).items() if name in before} == before


def test_a_folder_that_is_taken_away_is_not_made_anew(simulated, tmp_path, after_an_epoch, capsys):
    job = tmp_path / "job"
    after_an_epoch(lambda: shutil.rmtree(job))
    assert run(simulated, job) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"cryomix: {job}: the job folder was removed or emptied while the job ran: run.toml is gone"
    )
    assert not job.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_permission_that_is_lost_is_told(simulated, tmp_path, after_an_epoch, capsys):
    job = tmp_path / "job"
    after_an_epoch(lambda: (job / "checkpoints").chmod(0o500))
    assert run(simulated, job) == 2
    (job / "checkpoints").chmod(0o700)
    assert "state.safetensors: cannot be written: Permission denied" in capsys.readouterr().err


def test_something_in_the_way_is_told(simulated, tmp_path, after_an_epoch, capsys):
    job = tmp_path / "job"

    def put_a_file_in_the_way():
        shutil.rmtree(job / "checkpoints")
        (job / "checkpoints").write_text("not a folder")

    after_an_epoch(put_a_file_in_the_way)
    assert run(simulated, job) == 2
    assert "state.safetensors: cannot be written: " in capsys.readouterr().err


def test_a_stack_that_changes_under_the_run_is_told(simulated, tmp_path, after_an_epoch, capsys):
    folder, job = shutil.copytree(simulated, tmp_path / "set"), tmp_path / "job"
    stack = folder / "particles.mrcs"
    images = open_stack(stack).read(torch.arange(120))
    after_an_epoch(lambda: write_stack(stack, [-images], 8.0))
    assert run(folder, job, "--memory-gb", "0") == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .startswith(f"cryomix: {stack}: has changed since this command began to read it: it had ")
    )
    assert (job / "checkpoints/state.safetensors").is_file()


def test_partial_files_of_a_killed_run_are_cleared_away(simulated, tmp_path, after_an_epoch):
    job = tmp_path / "job"

    def interrupt():
        raise KeyboardInterrupt

    after_an_epoch(interrupt)
    assert run(simulated, job) == 130
    left = job / "analysis" / ".pca.npy.4711.part"
    left.parent.mkdir()
    left.write_bytes(b"half")
    assert run(simulated, job, "--resume", "--seed", "4") == 2  # another job: refused
    assert not left.exists()


@pytest.mark.slow
def test_a_job_that_is_killed_ends_as_one_that_was_not():
    """Three rounds of the benchmark, which has fifty by default."""
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/faults/benchmark_kill.py", "--rounds", "3"],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["differing"] == 0
