"""What the tutorial shows runs from end to end, and finds the motion that it simulated."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from cryomix import cli
from cryomix.files.relion import read_particles

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
# A command, with what a comment before it adds to keep it small.
STEP = re.compile(r"(?:<!-- in tests: (.*) -->\n\n)?^    (cryomix \w.*)$", re.MULTILINE)


def test_the_tutorial_finds_the_motion(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    steps = [f"{line} {smaller}" for smaller, line in STEP.findall(TUTORIAL)]
    assert len(steps) == len(re.findall(r"^    \S", TUTORIAL, re.MULTILINE)) >= 3
    told = []
    for step in steps:
        assert cli.main(shlex.split(step)[1:]) == 0, step
        told.append(capsys.readouterr().out)
    demo = tmp_path / "demo"
    for file in (demo / "report.html", Path("drawn/models.gif"), Path("open.star")):
        assert file.stat().st_size > 0
    scores = json.loads((demo / "evaluation.json").read_text())
    assert scores["t_spearman"] > 0.9
    assert ["t_spearman", f"{scores['t_spearman']:.4f}"] in [
        line.split()[:2] for line in told[0].splitlines()
    ]
    assert len(read_particles(demo / "simulated" / "particles.star")) == 200
    assert (demo / "volumes" / "curve001.mrc").is_file()
    _say_the_true_motion(demo)


def _say_the_true_motion(job):
    """The page tells how far the domain travels, in words, and fetches nothing."""
    page = (job / "report.html").read_text(encoding="utf-8")
    truth = np.load(job / "simulated" / "truth.npz")
    domain = truth["states"][:, truth["moving"]].mean(axis=1)
    length = np.linalg.norm(np.diff(domain, axis=0), axis=1).sum()
    told = re.search(r"Its centre travels ([0-9.]+)\sÅ", page)
    assert told
    assert float(told[1]) == pytest.approx(length, rel=0.15)
    assert "one continuous group" in page  # a row of 20 states
    assert len(page.encode()) < 5_000_000
    assert set(re.findall(r"https?://[^/\"'\s<)]+", page)) == {"https://doi.org"}
