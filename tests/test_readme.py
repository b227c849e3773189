"""What README.md and the tutorial show runs."""

import re
import shlex
from pathlib import Path

import pytest

from cryomix import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A command of the tutorial, with what a comment before it adds to keep it small.
STEP = re.compile(r"(?:<!-- in tests: (.*) -->\n\n)?^    (cryomix \w.*)$", re.MULTILINE)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--particles", "100", "--box", "16", "--pixel-size", "8"]
    assert cli.main(["simulate", "linear", "-o", "simulated", *flags]) == 0
    section = README.split("## From Python")[1].split("\n## ")[0]
    code = "\n".join(line[4:] for line in re.findall(r"^(?:    .*)?$", section, re.MULTILINE))
    values: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), values)  # our own text
    assert len(values["frc"]) == 100
    assert values["frc"][:, 1:5].mean() > 0.2
    assert "tensor" in capsys.readouterr().out


@pytest.mark.parametrize("line", re.findall(r"^    (cryomix \w.*)$", README, re.MULTILINE))
def test_the_commands_have_these_arguments(line):
    """Each command line of the page can be parsed, without being run."""
    _, bound, ignored = cli.app.parse_args(
        shlex.split(line, comments=True)[1:], exit_on_error=False, print_error=False
    )
    assert bound.arguments
    assert not ignored


def test_the_tutorial_runs_from_end_to_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = [f"{line} {smaller}" for smaller, line in STEP.findall(TUTORIAL)]
    assert len(steps) == len(re.findall(r"^    \S", TUTORIAL, re.MULTILINE)) >= 3
    for step in steps:
        assert cli.main(shlex.split(step)[1:]) == 0, step
    for file in ("demo/report.html", "drawn/models.gif", "open.star"):
        assert Path(file).stat().st_size > 0
