"""`cryomix view`: mistakes get one line; what it reads of a job, and what it writes."""

import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from cryomix import cli
from cryomix.commands.exploration import JobDesk
from cryomix.commands.particle_columns import find_columns
from cryomix.commands.view import _listen
from cryomix.errors import OptionError, OutputError
from cryomix.files.checkpoint import write_array
from cryomix.files.explorer_address import ExplorerAddress, read_address
from cryomix.files.job import JobFolder
from cryomix.files.particle_file import columns_of_numbers
from cryomix.files.run_record import write_run_record
from cryomix.files.training import read_history, write_state
from cryomix.fitting.heterogeneity import Epoch, TrainingState
from cryomix.fitting.trained_model import ModelSettings
from cryomix.viewer.column_store import ColumnStore
from cryomix.viewer.exploration import Rule


@pytest.fixture
def job(tmp_path) -> JobFolder:
    """A folder with a record and 30 particles in a star file."""
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    write_run_record(folder.run_record, "train", {"particles": "a.star"}, [], 0, "cpu")
    write_array(folder.latents, np.zeros((30, 2), np.float32))
    rows = [f"{i + 1:06d}@a.mrcs 1.5 name{i} -3e2" for i in range(30)]
    optics = ["data_optics", "loop_", "_rlnOpticsGroup #1", "1", ""]
    labels = ["rlnImageName", "rlnDefocusU", "rlnMicrographName", "rlnAngleRot"]
    head = [f"_{label} #{number}" for number, label in enumerate(labels, start=1)]
    folder.particles(Path("a.star")).write_text(
        "\n".join([*optics, "data_particles", "loop_", *head, *rows, ""])
    )
    return folder


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no such job folder"),
        (["JOB", "--port", "70000"], "port must be between 0 and 65535, got 70000"),
    ],
)
def test_a_mistake_gets_one_line(job, capsys, arguments, message):
    given = [str(job.path) if word == "JOB" else word for word in arguments]
    assert cli.main(["view", *given, "--no-browser"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_port_in_use_is_named(job, capsys):
    server = pytest.importorskip("cryomix.viewer.server", reason="cryomix[view] is not installed")
    taken = server.open_socket(0)
    taken.listen()
    port = taken.getsockname()[1]
    assert cli.main(["view", str(job.path), "--no-browser", "--port", str(port)]) == 2
    assert f"port {port} cannot be used" in capsys.readouterr().err
    taken.close()


@contextmanager
def explorer(job, *options):
    """`cryomix view` in a process of its own: its address, and what it notes besides."""
    pytest.importorskip("uvicorn", reason="cryomix[view] is not installed")
    command = [sys.executable, "-m", "cryomix", "view", str(job.path), "--no-browser", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = [process.stdout.readline().strip() for _ in range(2)]
        assert said[1].startswith("from another machine: ssh -L ")
        try:
            yield said[0], process
        finally:
            process.terminate()


def test_the_address_stays_and_two_explorers_have_two(job):
    with explorer(job) as (first, _), explorer(job) as (second, process):
        process.terminate()
        noted = process.stderr.read()
    _, port, token = (first.split("/")[k] for k in (0, 2, 3))
    assert f"{port.split(':')[1]} is in use, perhaps by another explorer of this job" in noted
    assert second.split("/")[2] != port
    assert second.split("/")[3] != token
    with explorer(job) as (again, _):
        assert again == first
    with explorer(job, "--new-address") as (other, _):
        assert other.split("/")[3] not in (token, second.split("/")[3])
    kept = job.explorer_address
    assert kept.stat().st_mode & 0o777 == 0o600
    # The secret is nowhere else in the folder.
    secret = other.split("/")[3].encode()
    files = [path for path in job.path.rglob("*") if path.is_file()]
    assert [path for path in files if secret in path.read_bytes()] == [kept]


def test_a_port_that_is_named_is_kept_with_a_secret_of_its_own(job, capsys, monkeypatch):
    server = pytest.importorskip("cryomix.viewer.server", reason="cryomix[view] is not installed")

    def listen(port, *, is_new=False):
        listener, token = _listen(job, port, is_new=is_new)
        listener.close()
        return listener, token

    def free():
        listener = server.open_socket(0)
        port = listener.getsockname()[1]
        listener.close()
        return port

    first, second = free(), free()
    _, token = listen(first)
    assert read_address(job) == ExplorerAddress(first, token)
    assert [listen(None)[1], listen(first)[1]] == [token, token]
    _, other = listen(second)
    assert other != token
    assert read_address(job) == ExplorerAddress(second, other)
    assert listen(0)[1] not in (token, other)
    kept = read_address(job)
    assert kept.port not in (first, second)
    taken = server.open_socket(kept.port)
    with pytest.raises(OptionError, match=f"port {kept.port} cannot be used"):
        listen(kept.port)
    assert listen(None)[1] != kept.token
    assert read_address(job) == kept
    taken.close()
    assert listen(None, is_new=True)[1] != kept.token
    assert "is in use" in capsys.readouterr().err
    job.explorer_address.unlink()
    monkeypatch.setattr("cryomix.files.explorer_address.keep_address", lambda *_: False)
    listen(None)
    assert "cannot keep a secret" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(job):
    code = (
        "import sys; sys.modules['starlette'] = None\n"
        "from cryomix.cli import main\n"
        f"sys.exit(main(['view', {str(job.path)!r}, '--no-browser']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'cryomix[view]'" in done.stderr


def test_columns_of_numbers_are_told_by_the_first_row(job):
    assert columns_of_numbers(job.particles(Path("a.star"))) == {
        "rlnImageName": False, "rlnDefocusU": True, "rlnMicrographName": False, "rlnAngleRot": True
    }  # fmt: skip


def test_small_groups_of_a_column_are_taken_together(job):
    names, sizes = [f"m{number:02d}.mrc" for number in range(30)], np.arange(1, 31)
    found = [name for name, size in zip(names, sizes, strict=True) for _ in range(size)]
    found = np.random.default_rng(0).permutation(found).tolist()
    rows = [f"{i + 1:06d}@a.mrcs {name} {i % 3}" for i, name in enumerate(found)]
    head = ["data_particles", "loop_", "_rlnImageName", "_rlnMicrographName", "_rlnClassNumber"]
    job.particles(Path("a.star")).write_text("\n".join([*head, *rows, ""]))
    columns = {column.name: column for column in find_columns(job.particles(Path("a.star")))}
    assert {name: column.kind for name, column in columns.items()} == {
        "rlnMicrographName": "named", "rlnClassNumber": "named"
    }  # fmt: skip
    groups = columns["rlnMicrographName"].read()
    assert groups.names == tuple(names[:5:-1])  # the largest 24
    told = [(*groups.names, "others")[number - 1] for number in groups.number]
    assert told == [name if name > "m05.mrc" else "others" for name in found]
    store = ColumnStore(len(found))
    assert store.names(columns["rlnClassNumber"]) == ("0", "1", "2")
    np.testing.assert_array_equal(
        store.values(columns["rlnClassNumber"]), np.arange(len(found)) % 3 + 1
    )


@pytest.mark.parametrize(
    ("rule", "rows", "condition"),
    [(Rule("cluster", (1, 3)), range(0, 30, 2), "cluster:1,3"),
     (Rule("latent1", low=0.3), range(3, 30), "latent1>=0.3"),
     (Rule("latent1", low=0.3, high=0.9), range(3, 10), "latent1>=0.3 and latent1<=0.9"),
     (Rule("rlnClassNumber", low=2.0, high=2.0), [2, 6, 10, 14, 18, 22, 26], "rlnClassNumber=2"),
     (Rule("latent1", low=0.3), range(4, 30), None),  # not these very rows
     (Rule("uncertainty", low=0.0), range(30), None),
     (Rule("latent1", low=9.0), range(3), None)],
)  # fmt: skip
def test_a_rule_is_a_condition_only_if_it_chooses_the_same(job, rule, rows, condition):
    count = np.arange(30)
    write_array(job.latents, np.stack([0.1 * count, 0 * count], axis=1))
    write_array(job.clusters, np.array([0, 1, 2, 1])[count % 4])
    table = [f"{i + 1:06d}@a.mrcs {i % 4}" for i in count]
    head = ["data_particles", "loop_", "_rlnImageName", "_rlnClassNumber"]
    job.particles(Path("a.star")).write_text("\n".join([*head, *table, ""]))
    desk, rows = JobDesk(job), np.array(rows)
    assert desk.condition(rule, rows) == condition
    command = desk.keep("some", rows, condition)
    assert shlex.split(command)[-1] == condition or f"rows:{job.selections}/some.npy"
    written = job.selections / "some.star"
    before = written.read_bytes()
    written.unlink()
    assert cli.main(shlex.split(command)[1:]) == 0
    assert written.read_bytes() == before


def test_scores_of_a_training_that_goes_on(job):
    assert read_history(job) == {}
    history = (Epoch(1, 2.0, 1.5, 0.1), Epoch(2, 3.0, 2.5, 0.1))
    settings = ModelSettings(24, 4.0, 10.0, 3.0, 2, 16, "snr", ("centers",))
    write_state(job.training_state, TrainingState({}, history, 0, 2.5), settings)
    assert read_history(job)["held_out_score"].tolist() == [1.5, 2.5]


def test_the_command_of_a_selection_writes_the_same_file(job, capsys):
    desk = JobDesk(job)
    rows = np.array([3, 4, 20])
    command = desk.keep("some", rows)
    written = (job.selections / "some.star").read_bytes()
    assert written.count(b"@a.mrcs") == 3
    (job.selections / "some.star").unlink()
    assert cli.main(command.split()[1:]) == 0
    assert (job.selections / "some.star").read_bytes() == written
    assert desk.keep("some", rows) == command
    with pytest.raises(OutputError, match="choose another"):
        desk.keep("some", rows[:2])
    assert desk.rebuild("some") == [
        "reconstruct", str(job.path), "--select", f"rows:{job.selections}/some.npy",
        "--no-clusters", "-o", f"{job.selections}/some",
    ]  # fmt: skip
    (job.selections / "some").mkdir()
    (job.selections / "some" / "selection.mrc").touch()
    with pytest.raises(OutputError, match="there are maps of this name"):
        desk.rebuild("some")
