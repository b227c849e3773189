"""`cryomix demo` finds the motion that it simulated."""

import json

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
