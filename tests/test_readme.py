"""What README.md shows runs, block by block, on a very small set."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cryomix import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    re.findall(r"^    (.*)$", block, re.MULTILINE)
    for block in re.findall(r"(?:^    .*\n)+(?:\n+(?:^    .*\n)+)*", README, re.MULTILINE)
]
SET_UP, MAIN_JOB, STEP_BY_STEP, PYTHON = BLOCKS
# Commands in a sentence: not those that only name a command.
SENTENCES = [" ".join(text.split()) for text in re.findall(r"`(cryomix [^`]* [^`]+)`", README)]
# What keeps a command small; all else is as it is printed.
SMALLER = {
    "simulate": "--particles 120 --box 16 --pixel-size 12 --snr 1",
    "run": "--latent-dim 1 --epochs 2 --hidden 16 --gaussians 32",
    "neutral": "--gaussians 32",
    "train": "--epochs 1 --hidden 16",
}
# These wait for a browser, or train anew for each round; they have tests of their own.
LONG = ("cryomix view", "cryomix refine-poses", "cryomix COMMAND")


def words(line: str) -> list[str]:
    name, *rest = shlex.split(line, comments=True)
    assert name == "cryomix", f"{line}: who runs this?"
    return [*rest, *shlex.split(SMALLER.get(rest[0], ""))]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """The set that the first command makes."""
    folder = tmp_path_factory.mktemp("readme")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert MAIN_JOB[1].startswith("cryomix simulate")
        assert cli.main(words(MAIN_JOB[1])) == 0
    return folder / "simulated"


def test_make_knows_what_is_asked_of_it():
    targets = [line.split("#")[0].split() for line in SET_UP]
    assert [target[0] for target in targets] == ["make", "make"]
    if shutil.which("make") is None:
        pytest.skip(reason="there is no make")
    for (_, name), done in zip(targets, ("bin/cryomix demo -o demo", "bin/pytest"), strict=True):
        told = subprocess.run(["make", "-n", name], cwd=ROOT, capture_output=True, text=True)
        assert told.returncode == 0, told.stderr
        assert done in told.stdout


def test_the_main_job_runs(simulated, tmp_path, monkeypatch):
    """From check to evaluation, then what the text shows beside: models, and particles back."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(simulated, "simulated")
    assert MAIN_JOB[0] == "source .venv/bin/activate"
    for line in MAIN_JOB[2:]:
        assert cli.main(words(line)) == 0, line
    report = Path("job/report.html").read_text(encoding="utf-8")
    assert "of the truths lie within one standard deviation" in report
    np.save("latents.npy", np.load("job/latents.npy")[:2])
    shown = [line for line in SENTENCES if not line.startswith(LONG)]
    assert len(shown) == 2
    for line in shown:
        assert cli.main(words(line)) == 0, line
    assert Path("models/state002.mrc").is_file()
    assert Path("open.star").stat().st_size > 0


def test_the_job_step_by_step_runs(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(simulated, ".", dirs_exist_ok=True)
    for line in STEP_BY_STEP:
        assert cli.main(words(line)) == 0, line
    section = README.split("| in the job folder | |")[1].split("\n\n")[0]
    names = re.findall(
        r"`([\w./]+)`", "\n".join(re.findall(r"^\| (`.*?) \|", section, re.MULTILINE))
    )
    missing = [name for name in names if not (Path("job") / name).exists()]
    assert "report.html" in names
    assert missing == [".cs", ".lst"]  # beside a star file there are none


def test_the_python_example_runs(simulated, monkeypatch, capsys):
    monkeypatch.chdir(simulated.parent)
    values: dict[str, object] = {}
    exec(compile("\n".join(PYTHON), "README.md", "exec"), values)  # our own text
    assert len(values["frc"]) == 100
    assert values["frc"][:, 1:5].mean() > 0.2
    assert "tensor" in capsys.readouterr().out


@pytest.mark.parametrize("line", [line for line in SENTENCES if line.startswith(LONG[:2])])
def test_the_longer_commands_have_these_arguments(line):
    """Parsed, without being run."""
    _, bound, ignored = cli.app.parse_args(
        shlex.split(line)[1:], exit_on_error=False, print_error=False
    )
    assert bound.arguments
    assert not ignored
