"""Two processes do what one does, one of them speaks, and none waits for one that has ended."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from cryomix import cli
from cryomix.files import training
from cryomix.files.checkpoint import read_array, read_csv
from cryomix.files.mrc import read_volume

pytestmark = pytest.mark.skipif(
    not (torch.distributed.is_available() and torch.distributed.is_gloo_available()),
    reason="this PyTorch has no distributed processes",
)

SYSTEM = ["--particles", "150", "--box", "24", "--pixel-size", "8", "--snr", "1", "--seed", "3"]
QUICK = ["--latent-dim", "1", "--hidden", "16", "--batch-size", "63", "--threads", "1"]
QUICK += ["--rigidity", "0.1"]


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def launch(*arguments):
    """Two processes by torchrun."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    launcher += ["--nproc-per-node", "2", "-m", "cryomix"]
    return subprocess.run(
        [*launcher, *(str(argument) for argument in arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    assert call("simulate", "linear", "-o", folder / "set", *SYSTEM) == 0
    neutral = ["neutral", folder / "set" / "consensus.mrc", "-o", folder / "neutral"]
    assert call(*neutral, "--gaussians", "64", "--steps", "40") == 0
    return folder


def train_arguments(inputs, job, *more):
    particles = inputs / "set" / "particles.star"
    return ["train", particles, "--neutral", inputs / "neutral", "-o", job, *QUICK, *more]


def reconstruct_arguments(inputs, job, out):
    points = ["--at", inputs / "latents.npy", "--no-clusters"]
    return ["reconstruct", job, *points, "-o", out, "--threads", "1"]


@pytest.fixture(scope="module")
def alone(inputs):
    job = inputs / "alone"
    assert call(*train_arguments(inputs, job, "--epochs", "3")) == 0
    np.save(inputs / "latents.npy", np.array([[-1.0], [1.0]], np.float32))
    assert call(*reconstruct_arguments(inputs, job, inputs / "maps")) == 0
    return job


@pytest.fixture(scope="module")
def together(inputs):
    """Three epochs, begun by one process and gone on with by two."""
    job = inputs / "together"
    write_state = training.write_state

    def write_and_stop(*arguments):
        write_state(*arguments)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_state", write_and_stop)
        assert call(*train_arguments(inputs, job, "--epochs", "3")) == 130
    done = launch(*train_arguments(inputs, job, "--epochs", "3", "--resume"))
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^epoch \d", done.stderr, re.MULTILINE) == ["epoch 2", "epoch 3"]
    assert not (job / "checkpoints").exists()
    return job


def test_training_in_two_processes_is_that_of_one(alone, together):
    one, two = (read_csv(job / "history.csv") for job in (alone, together))
    for name in ("training_score", "held_out_score"):
        assert one[name][0] == two[name][0]
        np.testing.assert_allclose(two[name][1], one[name][1], rtol=1e-3)
        # Adam makes large steps of small gradients: rounding errors grow from epoch to epoch.
        np.testing.assert_allclose(two[name], one[name], rtol=1e-2)
    one, two = (read_array(job / "latents.npy")[:, 0] for job in (alone, together))
    assert np.corrcoef(one, two)[0, 1] > 0.999
    one, two = (read_array(job / "latent_std.npy") for job in (alone, together))
    np.testing.assert_allclose(two, one, rtol=0.1)


def test_resume_begins_a_job_where_there_is_none(inputs, alone):
    job = inputs / "new"
    assert call(*train_arguments(inputs, job, "--epochs", "3", "--resume")) == 0
    assert (job / "latents.npy").read_bytes() == (alone / "latents.npy").read_bytes()


def test_maps_of_two_processes_are_those_of_one(inputs, alone):
    done = launch(*reconstruct_arguments(inputs, alone, inputs / "maps2"))
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (inputs / "maps").glob("*.mrc"))
    assert names == sorted(path.name for path in (inputs / "maps2").glob("*.mrc"))
    assert len(names) == 6
    for name in names:
        one, two = (read_volume(inputs / folder / name).density for folder in ("maps", "maps2"))
        assert float((two - one).norm() / one.norm()) < 1e-5
    assert done.stdout.count("at001: ") == 1


def test_a_mistake_is_told_once(inputs, alone):
    done = launch(*train_arguments(inputs, alone))
    lines = [line for line in done.stderr.splitlines() if line.startswith("cryomix: ")]
    assert lines == [f"cryomix: {alone}: the output folder already holds a job (run.toml)"]
    assert "exitcode  : 2" in done.stderr
    assert "exitcode  : 1" not in done.stderr


GATHERING = """
import torch
from cryomix.fitting.encoder_estimates import EncoderEstimates
from cryomix.processes import is_first_process, join_processes, positions_here

join_processes(torch.device("cpu"))
estimates = EncoderEstimates()
for index in torch.arange(7).flip(0).split(4):
    here = index[positions_here(index, 7)]
    estimates.add(here, here[:, None] + 0.5)
everyone = estimates.gather(7)[:, 0].tolist()
if is_first_process():
    print(everyone)
"""


def test_latents_of_an_epoch_come_from_every_process(tmp_path):
    script = tmp_path / "gathering.py"
    script.write_text(GATHERING)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", script],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5]"


FAILING = """
import os, sys
from cyclopts import App
from cryomix import cli
from cryomix.commands.device import prepare_device
from cryomix.errors import InputFileError
from cryomix.options import RuntimeOptions
from cryomix.processes import agree

def go():
    prepare_device(RuntimeOptions(device="cpu", threads=1), in_many=True)
    if os.environ["RANK"] in sys.argv[1]:
        raise InputFileError("particles.star: truncated")
    agree(1)
    agree(2)

cli.app = App()
cli.app.command(go)
sys.exit(cli.main(["go"]))
"""


@pytest.mark.parametrize("failing", ["0", "1", "01"])
def test_no_process_waits_for_one_that_has_ended(failing):
    """Without torchrun, which would end the others."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", FAILING, failing],
            env={**os.environ, **meeting, "RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [2, 2]
    lines = [line for text in told for line in text.splitlines() if "cryomix" in line]
    assert lines == ["cryomix: particles.star: truncated"]
    assert "Traceback" not in "".join(told)


LEAVING = """
import atexit
from pathlib import Path

def tell():
    threads = [task.joinpath("comm").read_text() for task in Path("/proc/self/task").iterdir()]
    print(sum("gloo" in name for name in threads), end=" ")

atexit.register(tell)
import torch
from cryomix.processes import agree, join_processes

join_processes(torch.device("cpu"))
import torch._dynamo  # as optimizers do

tell()
agree(1)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are not listed here")
def test_no_thread_of_the_group_outlives_it():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meeting = {"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    done = subprocess.run(
        [sys.executable, "-c", LEAVING],
        env={**os.environ, **meeting},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    during, after = map(int, done.stdout.split())
    assert during > 0
    assert after == 0


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0)])
def test_other_commands_refuse_many_processes(tmp_path, monkeypatch, capsys, rank, lines):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    assert call("simulate", "linear", "-o", tmp_path / "new") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == lines
    assert not lines or "only train and reconstruct run in many processes" in error
    assert not (tmp_path / "new").exists()
