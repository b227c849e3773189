"""The record of a run tells all that is needed to repeat it."""

import hashlib
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from cryomix.cli import main
from cryomix.errors import CheckpointError, InputFileError
from cryomix.files.run_record import digest_input, read_run_record, write_run_record


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 1e-4
    vary: tuple[str, ...] = ("centers", "widths")


@dataclass(frozen=True, kw_only=True)
class Outer:
    epochs: int = 12
    focus: Path | None = None
    quick: bool = False
    name: str = 'a "quoted" \\ name\nand é 😀 \x7f \udcff'
    limit: float = float("inf")
    inner: Inner = field(default_factory=Inner)


def test_a_record_comes_back(tmp_path):
    source = tmp_path / "particles.star"
    source.write_bytes(b"data_\n")
    path = tmp_path / "job" / "run.toml"
    write_run_record(path, "train", Outer(), [source], 7, "cpu")
    record = read_run_record(path)
    assert (record.command, record.seed, record.device) == ("train", 7, "cpu")
    assert record.line == "cryomix train"
    assert record.options == {
        "epochs": 12,
        "quick": False,
        "name": 'a "quoted" \\ name\nand é 😀 \x7f \\udcff',
        "limit": float("inf"),
        "inner": {"rate": 1e-4, "vary": ["centers", "widths"]},
    }
    assert record.versions["torch"] == torch.__version__
    assert record.versions["numpy"] == np.__version__
    assert set(record.versions) == {"python", "cryomix", "torch", "numpy"}
    (digest,) = record.inputs
    assert (digest.path, digest.size, digest.hashed) == (str(source), 6, "whole")
    assert digest.sha256 == hashlib.sha256(b"data_\n").hexdigest()
    assert tomllib.loads(path.read_text())["inputs"][0]["sha256"] == digest.sha256


def test_what_was_typed_is_kept_as_a_shell_takes_it(tmp_path):
    out = tmp_path / "two words"
    assert main(["simulate", "linear", "-o", str(out), "--particles", "4", "--box", "16"]) == 0
    record = read_run_record(out / "run.toml")
    assert record.line == f"cryomix simulate linear -o '{out}' --particles 4 --box 16"


def test_options_may_be_a_mapping(tmp_path):
    path = tmp_path / "run.toml"
    options = {"max resolution": np.float64(8.5), "gaussians": None, "mask": Path("a/b.mrc")}
    write_run_record(path, "neutral", options, [], 0, "cuda")
    record = read_run_record(path)
    assert record.options == {"max resolution": 8.5, "mask": "a/b.mrc"}
    assert record.inputs == ()
    with pytest.raises(TypeError, match="options must be a mapping or a dataclass, got"):
        write_run_record(path, "neutral", Outer, [], 0, "cpu")
    with pytest.raises(TypeError, match="a run record cannot hold"):
        write_run_record(path, "neutral", {"x": object()}, [], 0, "cpu")


def test_large_inputs_are_known_by_size_and_ends(tmp_path):
    path = tmp_path / "large.mrcs"
    size, end = 2**30 + 5, 16 * 2**20
    with path.open("wb") as file:
        file.write(b"first")
        file.truncate(size)
    digest = digest_input(path)
    expected = hashlib.sha256(str(size).encode() + b"first" + bytes(end - 5) + bytes(end))
    assert digest.sha256 == expected.hexdigest()
    assert digest.hashed == "size, first and last 16 MiB"
    with path.open("r+b") as file:
        file.seek(size - 1)
        file.write(b"x")
    assert digest_input(path).sha256 != digest.sha256


def test_a_missing_input_is_refused(tmp_path):
    with pytest.raises(InputFileError, match=r"none\.star: cannot be read: No such file"):
        write_run_record(tmp_path / "run.toml", "x", {}, [tmp_path / "none.star"], 0, "cpu")
    assert not (tmp_path / "run.toml").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"command = ", "not a run record: "),
        (b"command = 'x'\n", "not a run record: it lacks 'seed'"),
        (b"\xff", "not a run record: "),
    ],
)
def test_what_is_no_record_is_refused(tmp_path, content, message):
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_run_record(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    with pytest.raises(CheckpointError, match=r"none\.toml: there is no such file$"):
        read_run_record(tmp_path / "none.toml")
