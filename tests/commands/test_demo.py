"""`cryomix demo` finds the motion that it simulated."""

import json
import re

import numpy as np
import pytest

from cryomix import cli
from cryomix.files.relion import read_particles


def test_the_motion_is_recovered(tmp_path, capsys):
    flags = ["--particles", "200", "--box", "24", "--pixel-size", "8", "--snr", "1"]
    assert cli.main(["demo", "-o", str(tmp_path / "demo"), *flags]) == 0
    scores = json.loads((tmp_path / "demo" / "evaluation.json").read_text())
    assert scores["t_spearman"] > 0.9
    assert ["t_spearman", f"{scores['t_spearman']:.4f}"] in [
        line.split()[:2] for line in capsys.readouterr().out.splitlines()
    ]
    assert len(read_particles(tmp_path / "demo" / "simulated" / "particles.star")) == 200
    assert (tmp_path / "demo" / "volumes" / "curve001.mrc").is_file()
    _say_the_true_motion(tmp_path / "demo")


def _say_the_true_motion(job):
    """The page tells how far the domain travels, in words, and fetches nothing."""
    page = (job / "report.html").read_text(encoding="utf-8")
    truth = np.load(job / "simulated" / "truth.npz")
    domain = truth["states"][:, truth["moving"]].mean(axis=1)
    length = np.linalg.norm(np.diff(domain, axis=0), axis=1).sum()
    told = re.search(r"Its centre travels ([0-9.]+)\sÅ", page)
    assert told
    assert float(told[1]) == pytest.approx(length, rel=0.15)
    assert len(page.encode()) < 5_000_000
    assert set(re.findall(r"https?://[^/\"'\s<)]+", page)) == {"https://doi.org"}
