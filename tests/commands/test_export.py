"""Selections out: which rows each condition picks, and that they come out as they were."""

import json
from pathlib import Path

import numpy as np
import pytest

from cryomix import cli
from cryomix.files.cryosparc_table import write_rows
from cryomix.files.job import JobFolder
from cryomix.files.run_record import write_run_record
from cryomix.files.star import read_star

HEAD = """# made elsewhere

# version 30001
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
1 first 300
2 'never used' 200
3 third 200

# version 30001
data_particles

loop_
_rlnImageName #1
_rlnDefocusU #2
_rlnMicrographName #3
_rlnOpticsGroup #4
_cryomixLatent1 #5
_cryomixLatent2 #6
"""


GIVEN = Path("given.star")


@pytest.fixture
def job(tmp_path):
    """Twelve particles on a line of slope one, from -6 to 5, in three clusters."""
    folder = JobFolder(tmp_path / "job")
    folder.trajectories.mkdir(parents=True)
    latent = np.repeat(np.arange(-6.0, 6.0), 2).reshape(12, 2).astype(np.float32)
    np.save(folder.latents, latent)
    np.save(folder.latent_std, 0.1 + 0 * latent)
    np.save(folder.umap, -latent)
    np.save(folder.clusters, np.arange(12) // 4)
    np.save(folder.information, np.arange(12) / 4)
    np.save(folder.informative, np.arange(12) >= 4)
    np.save(folder.trajectories / "axis1.npy", latent[[1, 6]])
    rows = [
        f"{i + 1:06d}@a.mrcs   {1e4 + i} '{i:04d} x' {1 + 2 * (i % 2)}  {z:.6f} {z:.6f}"
        for i, z in enumerate(latent[:, 0])
    ]
    folder.particles(GIVEN).write_text(HEAD + "\n".join(rows) + "\n\ndata_general\n\n_rlnX y\n")
    settings = {"particles": str(GIVEN)}
    write_run_record(folder.run_record, "train", settings, [], 0, "cpu")
    return folder


def export(job, out, *conditions):
    words = [word for condition in conditions for word in ("--select", condition)]
    return cli.main(["export", str(job.path), "--to", "star", "-o", str(out), *words])


def rows_of(path):
    return [int(name[:6]) - 1 for name in read_star(path).block("particles").column("rlnImageName")]


CORNERS = [[-4.5, -10], [-4.5, 10], [-0.5, 10], [-0.5, -10]]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ((), range(12)),
        (("cluster:2",), [4, 5, 6, 7]),
        (("cluster:1,3",), [0, 1, 2, 3, 8, 9, 10, 11]),
        (("cluster!=2",), [0, 1, 2, 3, 8, 9, 10, 11]),
        (("latent1>0.5",), [7, 8, 9, 10, 11]),
        (("latent1 >= -1 and latent2<= 1",), [5, 6, 7]),
        (("latent1 >= -1", "latent2<1e0"), [5, 6]),
        (("umap2<-3",), [10, 11]),
        (("information<0.6",), [0, 1, 2]),
        (("informative=1 and cluster:1,2",), [4, 5, 6, 7]),
        (("std1<0.5 and rlnDefocusU>10009",), [10, 11]),
        (("_rlnVoltage=200",), [1, 3, 5, 7, 9, 11]),
        (("nearest:3:axis1:2",), [5, 6, 7]),
        (("within:1.5:axis1:1",), [0, 1, 2]),
        (("lasso:latent1:umap1:-4.5,-10;-4.5,10;-0.5,10;-0.5,-10",), [2, 3, 4, 5]),
    ],
)
def test_what_is_selected(job, tmp_path, capsys, conditions, expected):
    out = tmp_path / "out.star"
    assert export(job, out, *conditions) == 0
    assert rows_of(out) == list(expected)
    assert capsys.readouterr().out == f"{out}: {len(list(expected))} of 12 particles\n"


def test_outlines_and_rows_of_files(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "drawn.json").write_text(json.dumps(CORNERS))
    (tmp_path / "drawn.csv").write_text("x,y\n" + "\n".join(f"{x},{y}" for x, y in CORNERS))
    np.save(tmp_path / "drawn.npy", np.array(CORNERS))
    np.save(tmp_path / "rows.npy", np.array([5, 2, 3, 4, 2]))
    np.save(tmp_path / "mask.npy", np.isin(np.arange(12), [2, 3, 4, 5]))
    (tmp_path / "rows.txt").write_text("5\n2\n3\n4\n")
    files = ("drawn.json", "drawn.csv", "drawn.npy", "rows.npy", "mask.npy", "rows.txt")
    for number, name in enumerate(files):
        what = "rows" if number > 2 else "lasso:latent1:umap1"
        assert export(job, f"{number}.star", f"{what}:{name}") == 0
        assert rows_of(tmp_path / f"{number}.star") == [2, 3, 4, 5]


def test_rows_blocks_and_columns_come_out_as_they_were(job, tmp_path):
    """Also the optics group that no particle has, quotes, and blank space."""
    out = tmp_path / "all" / "out.star"
    assert export(job, out) == 0
    assert out.read_bytes() == job.particles(GIVEN).read_bytes()
    some = tmp_path / "some.star"
    assert export(job, some, "cluster:3") == 0
    before, after = job.particles(GIVEN).read_text(), some.read_text()
    kept = [line for line in before.splitlines() if "@" not in line or int(line[:6]) > 8]
    assert [line for line in after.splitlines() if line] == [line for line in kept if line]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("latent3>0", "has latent1 to latent2, but no latent3"),
        ("latent0>0", "has latent1 to latent2, but no latent0"),
        ("latent1>high", "--select latent1>high: must be a number, got 'high'"),
        ("latent1>nan", "--select latent1>nan: must be finite, got 'nan'"),
        ("latent1>7", "no particle of {job} meets --select latent1>7"),
        ("latent1 > 0 or latent1 < 2", "--select takes cluster:1,3, latent1>0.5, "),
        ("__import__('os')", "--select takes cluster:1,3, latent1>0.5, "),
        ("pca1>0", "there is no pca1, because pca.npy is missing"),
        ("rlnNothing>0", "particles.star: data_particles (with data_optics) lacks _rlnNothing"),
        (
            "rlnMicrographName>0",
            "_rlnMicrographName must be a finite number, got '0000 x' in row 1",
        ),
        ("cluster:4", "--select cluster:4: clusters are numbered from 1 to 3, got 4"),
        ("cluster:0", "--select cluster:0: clusters are numbered from 1 to 3, got 0"),
        ("nearest:5:axis7:1", "no trajectory 'axis7'; there is axis1"),
        ("nearest:5:axis1:3", "axis1 has points 1 to 2, got 3"),
        ("nearest:2.5:axis1:1", "must be a number of particles above 0, got 2.5"),
        ("within:-1:axis1:1", "must be a distance above 0, got -1"),
        ("lasso:latent1:latent2:0,0;1,1", "at least three corners such as 0,0;1,0;1,2, got '0,0;"),
        ("lasso:latent1:latent2:none.json", "none.json: there is no such file"),
        ("lasso:latent1:latent2:bad.json", "bad.json: an outline must be at least three pairs"),
        ("rows:none.npy", "none.npy: there is no such file"),
        ("rows:far.npy", "far.npy: rows are numbered from 0 to 11, got 3 to 12"),
        ("rows:half.npy", "half.npy: must hold numbers of rows, or true or false for each of 12"),
    ],
)
def test_what_is_not_understood(job, tmp_path, monkeypatch, capsys, condition, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("[[1, 2], [3, 4]]")
    np.save(tmp_path / "far.npy", np.array([3, 12]))
    np.save(tmp_path / "half.npy", np.array([0.5, 1.0]))
    assert export(job, "out.star", condition) == 2
    error = capsys.readouterr().err
    assert message.format(job=job.path) in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.star").exists()


def test_nothing_is_overwritten(job, tmp_path, capsys):
    out = tmp_path / "there.star"
    out.write_text("mine")
    assert export(job, out) == 2
    assert export(job, job.particles(GIVEN)) == 2
    assert out.read_text() == "mine"
    assert export(job, tmp_path / "out.cs") == 2
    assert "out.cs: a file of --to star must end in .star" in capsys.readouterr().err
    job.particles(GIVEN).unlink()
    assert export(job, tmp_path / "out.star") == 2
    assert "particles.star: there is no such file" in capsys.readouterr().err


def test_particles_of_cryosparc_come_out_as_a_cs_file(job, tmp_path, capsys):
    rows = np.zeros(12, [("uid", "<u8"), ("alignments3D/error", "<f4"), ("cryomix/cluster", "<u4")])
    rows["uid"], rows["alignments3D/error"] = np.arange(12), np.arange(12) % 3
    write_run_record(job.run_record, "train", {"particles": "given.cs"}, [], 0, "cpu")
    write_rows(job.particles(Path("given.cs")), rows)
    command = ["export", str(job.path), "--to", "cs", "-o", str(tmp_path / "out.cs")]
    assert cli.main([*command, "--select", "alignments3D/error=1 and cluster:2,3"]) == 0
    assert np.load(tmp_path / "out.cs").tobytes() == rows[[4, 7, 10]].tobytes()
    command[-1] = str(tmp_path / "second.cs")
    assert cli.main([*command, "--select", "alignments3D/errors=1"]) == 2
    assert "particles.cs: lacks alignments3D/errors" in capsys.readouterr().err
    assert export(job, tmp_path / "out.star") == 2
    assert "the particles of this job are particles.cs: write them to a .cs file" in (
        capsys.readouterr().err
    )
