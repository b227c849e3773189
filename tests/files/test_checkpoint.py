"""What cryomix stores comes back as it was, and nothing else is taken for it."""

import pickle

import numpy as np
import pytest
import safetensors.torch
import torch

from cryomix.errors import CheckpointError
from cryomix.files.checkpoint import (
    read_array,
    read_csv,
    read_gaussians,
    read_tensors,
    write_array,
    write_csv,
    write_gaussians,
    write_tensors,
)
from cryomix.imaging.gaussians import GaussianModel


@pytest.fixture
def model():
    generator = torch.Generator().manual_seed(0)
    draw = torch.rand(7, 5, generator=generator)
    return GaussianModel(draw[:, :3] * 100 - 50, draw[:, 3], draw[:, 4] + 0.5)


def test_gaussians_come_back(tmp_path, model):
    path = tmp_path / "neutral" / "gaussians.safetensors"
    write_gaussians(path, model, {"resolution": "8.0"})
    again = read_gaussians(path)
    for key in ("center", "amplitude", "width"):
        assert torch.equal(getattr(again, key), getattr(model, key))
    assert read_tensors(path)[1] == {"resolution": "8.0"}
    doubled = GaussianModel(model.center.double(), model.amplitude.double(), model.width.double())
    write_gaussians(path, doubled)
    assert read_gaussians(path).center.dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": None}, "not a Gaussian model: it lacks 'width'"),
        ({"center": torch.zeros(7, 2)}, "'center' must be torch.float32 of shape (7, 3), got"),
        ({"center": torch.zeros(6, 3)}, "'center' must be torch.float32 of shape (7, 3), got"),
        ({"width": torch.ones(7, 1)}, "'width' must be torch.float32 of shape (7,), got torch."),
        ({"width": torch.ones(7).int()}, "'width' must be torch.float32 of shape (7,), got torch"),
        ({"amplitude": torch.zeros(0)}, "a Gaussian model must hold Gaussians, got 0"),
        ({"amplitude": torch.full((7,), -0.5)}, "'amplitude' must not be negative, got -0.5"),
        ({"amplitude": torch.full((7,), torch.nan)}, "'amplitude' must be finite, got NaN or inf"),
        ({"center": torch.full((7, 3), torch.inf)}, "'center' must be finite, got NaN or infinity"),
        ({"width": torch.tensor([1.0] * 6 + [0.0])}, "'width' must be positive, got 0"),
    ],
)
def test_other_tensors_are_no_gaussians(tmp_path, model, change, message):
    tensors = {key: getattr(model, key) for key in ("center", "amplitude", "width")} | change
    path = tmp_path / "gaussians.safetensors"
    write_tensors(path, {key: value for key, value in tensors.items() if value is not None})
    with pytest.raises(CheckpointError) as caught:
        read_gaussians(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_tensors_come_back(tmp_path):
    path = tmp_path / "state.safetensors"
    base = torch.arange(12).reshape(3, 4)
    tensors = {"a": base.T, "b": base.T, "c": torch.tensor(True), "d": torch.zeros(0, 2)}
    write_tensors(path, tensors)
    again, metadata = read_tensors(path)
    assert metadata == {}
    assert set(again) == set(tensors)
    for name, tensor in tensors.items():
        assert torch.equal(again[name], tensor)
    again["a"][:] = 0
    assert torch.equal(read_tensors(path)[0]["a"], base.T)


def test_any_reader_of_safetensors_finds_the_tensors(tmp_path):
    """Every type, a tensor under two names, and text beside them."""
    path = tmp_path / "state.safetensors"
    tensors = {
        f"of {kind}": (torch.arange(35) % 2).reshape(5, 7).to(kind)
        for kind in (
            torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16,
            torch.int32, torch.float32, torch.int64, torch.float64,
        )
    }  # fmt: skip
    tensors["again"] = tensors["of torch.float32"]
    tensors["turned"] = tensors["of torch.int16"].T
    write_tensors(path, tensors, {"told": "Å"})
    found = safetensors.torch.load_file(path)
    assert set(found) == set(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert read_tensors(path)[1] == {"told": "Å"}
    again = tmp_path / "again.safetensors"
    write_tensors(again, dict(reversed(tensors.items())), {"told": "Å"})
    assert again.read_bytes() == path.read_bytes()


def test_what_is_no_safetensors_file_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match=r"x\.safetensors: there is no such file$"):
        read_tensors(path)
    whole = safetensors.torch.save({"a": torch.zeros(100)})
    for junk in (b"", b"junk", pickle.dumps({"a": 1}), whole[:-7]):
        path.write_bytes(junk)
        with pytest.raises(CheckpointError, match=r"x\.safetensors: not a safetensors file: "):
            read_tensors(path)
    with pytest.raises(CheckpointError, match=r"cannot be read|not a safetensors file"):
        read_tensors(tmp_path)


def test_arrays_come_back(tmp_path):
    path = tmp_path / "latents.npy"
    for array in (np.ones((3, 2), np.float32), np.arange(4), np.zeros((0, 4)), np.array(2.5)):
        write_array(path, array)
        again = read_array(path)
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)
        np.testing.assert_array_equal(np.load(path), array)


class Trap:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_what_is_no_array_is_refused(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(CheckpointError, match=r"x\.npy: there is no such file$"):
        read_array(path)
    np.save(path, np.array([Trap()], dtype=object))
    trapped = path.read_bytes()
    write_array(path, np.arange(100))
    truncated = path.read_bytes()[:-8]
    zipped = tmp_path / "x.npz"
    np.savez(zipped, a=np.arange(3))
    junk = (b"", b"junk", b"\x93NUMPY", pickle.dumps(Trap()), trapped, truncated)
    for content in (*junk, zipped.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError) as caught:
            read_array(path)
        assert str(caught.value).startswith(f"{path}: not a .npy file of numbers: ")
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        write_array(path, np.array([None]))


def test_tables_come_back(tmp_path):
    path = tmp_path / "history.csv"
    rows = [(1, 0.1, 1e-300), (2, np.float64(1 / 3), torch.tensor(0.5))]
    write_csv(path, ["epoch", "train, all", "held_out"], rows)
    assert path.read_text().splitlines()[0] == 'epoch,"train, all",held_out'
    table = read_csv(path)
    assert list(table) == ["epoch", "train, all", "held_out"]
    assert table["epoch"].tolist() == [1, 2]
    assert table["train, all"].tolist() == [0.1, 1 / 3]
    assert table["held_out"].tolist() == [1e-300, 0.5]
    write_csv(path, ["epoch"], [])
    assert read_csv(path)["epoch"].shape == (0,)
    with pytest.raises(ValueError, match="2 columns but 1 values"):
        write_csv(path, ["a", "b"], [(1,)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a table must have a header, got an empty file"),
        (b"a,b\n1,2\n3\n", "line 3 must hold 2 numbers, got ['3']"),
        (b"a,b\n1,x\n", "line 2 must hold 2 numbers, got ['1', 'x']"),
        (b"a,b\n1,2,3\n", "line 2 must hold 2 numbers, got ['1', '2', '3']"),
        (b"\xff\xfe", "not a table: "),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, message):
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"x\.csv: there is no such file$"):
        read_csv(tmp_path / "x.csv")
