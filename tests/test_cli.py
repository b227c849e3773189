"""The command line: fast help, one line per mistake, exit codes."""

import subprocess
import sys
import warnings

import pytest
import torch
from cyclopts import App

from cryomix import cli
from cryomix.errors import DataWarning, InputFileError


def commands():
    return [name for name in cli.app if not name.startswith("-")]


@pytest.fixture
def run(capsys, monkeypatch):
    """Run one command line; exit code, output and error stream."""

    def run(*arguments):
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        code = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def with_command(monkeypatch):
    """Put a program with one command, `go`, in the place of cryomix's."""

    def with_command(function):
        app = App(name="cryomix")
        app.command(function, name="go")
        monkeypatch.setattr(cli, "app", app)

    return with_command


def test_help_does_not_import_torch():
    """PyTorch alone takes seconds, help must take half of one."""
    lines = ["import sys", "from cryomix.cli import main"]
    lines += [f"main([{name!r}, '--help'])" for name in commands()] + ["main(['--help'])"]
    lines += ["slow = {'torch', 'numpy', 'scipy', 'numba', 'sklearn', 'matplotlib'}"]
    lines += ["print('slow:', sorted(slow & set(sys.modules)))"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "slow: []"


@pytest.mark.parametrize("command", commands())
def test_every_command_says_what_it_does_and_its_defaults(run, command):
    code, output, _ = run(command, "--help")
    assert code == 0
    assert "--device" in output
    assert "--threads" in output
    assert "--seed" in output
    assert "default:" in output
    assert f"cryomix {command}" in output.split("Parameters")[0].split("Usage", 1)[1]


def test_flags_keep_the_names_that_scripts_rely_on(run):
    _, output, _ = run("simulate", "--help")
    for flag in ("--particles", "--box", "--pixel-size", "--snr", "--seed", "--out", "-o"):
        assert f"{flag} " in output, flag


TRAIN = ["train", "x.star", "--neutral", "x", "-o", "x"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["simulat"], 'Unknown command "simulat". Did you mean "simulate"?'),
        (["simulate", "linear"], "requires an argument"),
        (["simulate", "linear", "-o", "x", "--snrr", "1"], "Did you mean --snr?"),
        (["simulate", "linear", "-o", "x", "--snr", "abc"], 'unable to convert "abc"'),
        (["simulate", "spiral", "-o", "x"], '"linear", "cyclic", "mixture"'),
        (["simulate", "linear", "-o", "x", "--snr", "-1"], "snr must be positive, got -1"),
        (["simulate", "linear", "-o", "x", "--box", "8"], "box_size must be at least 16, got 8"),
        ([*TRAIN, "--decoder", "x"], '"dense", "shared"'),
        ([*TRAIN, "--rigidity", "-1"], "rigidity must be at least 0, got -1"),
        (
            [*TRAIN, "--rigidity", "1", "--vary", "amplitudes"],
            "rigidity needs centers that vary, got vary 'amplitudes'",
        ),
    ],
)
def test_a_wrong_command_line_gets_one_line(run, arguments, message):
    code, output, error = run(*arguments)
    assert code == 2
    assert output == ""
    assert error.startswith("cryomix: ")
    assert error.count("\n") == 1
    assert message in error


def test_a_mistake_of_the_users_gets_one_line(run, with_command):
    def refuse():
        raise InputFileError("particles.star: truncated:\n  row 7")

    with_command(refuse)
    assert run("go") == (2, "", "cryomix: particles.star: truncated: row 7\n")


def test_our_own_mistakes_keep_their_traceback(run, with_command):
    def fail():
        raise ValueError("shapes differ")

    with_command(fail)
    with pytest.raises(ValueError, match="shapes differ"):
        run("go")


def test_an_interrupted_job_says_how_to_go_on(run, with_command):
    def stop(*, resume: bool = False):
        raise KeyboardInterrupt

    with_command(stop)
    code, _, error = run("go")
    assert code == 130
    assert error == "cryomix: interrupted; the same command with --resume continues it\n"


def test_a_command_can_say_no(run, with_command):
    def judge() -> int:
        return 1

    with_command(judge)
    assert run("go")[0] == 1


def test_warnings_are_one_line_without_source(run, with_command):
    def warn():
        warnings.warn("map.mrc: its header says 1 Å", DataWarning, stacklevel=1)

    with_command(warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        code, _, error = run("go")
    assert (code, error) == (0, "cryomix: warning: map.mrc: its header says 1 Å\n")


def test_without_arguments_help_is_shown(run):
    code, output, _ = run()
    assert code == 0
    assert "Usage: cryomix COMMAND" in output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused(run, tmp_path):
    code, _, error = run("simulate", "linear", "-o", tmp_path / "new", "--device", "cuda")
    assert code == 2
    assert error == "cryomix: --device cuda: PyTorch finds no GPU here; use auto or cpu\n"
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(5, "Input/output error", "job/x.npy"),
            "the system refuses: [Errno 5] Input/output",
        ),
        (
            MemoryError("Unable to allocate 9.5 GiB"),
            "not enough memory: Unable to allocate 9.5 GiB",
        ),
        (MemoryError(), "not enough memory: no more was given"),
    ],
)
def test_what_the_machine_refuses_gets_one_line(run, with_command, error, message):
    def fail():
        raise error

    with_command(fail)
    code, output, told = run("go")
    assert (code, output) == (1, "")
    assert told.startswith(f"cryomix: {message}")
    assert told.count("\n") == 1


def test_a_reader_that_goes_away_is_no_mistake():
    command = [sys.executable, "-m", "cryomix", "simulate", "--help"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (0, 1)
