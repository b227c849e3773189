"""Which device and how many threads a command takes, with GPUs that are only pretended."""

import numba
import pytest
import torch

from cryomix import processes
from cryomix.commands import device as module
from cryomix.commands.device import prepare_device
from cryomix.errors import DeviceError
from cryomix.options import RuntimeOptions


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that there are `count` GPUs; the device that was chosen."""
    chosen = []

    def gpus(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
        return chosen

    return gpus


@pytest.fixture
def second_of_two(monkeypatch):
    """Be the second of two processes of one machine; the devices they met with."""
    met = []
    for name, value in (
        ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2"), ("RANK", "1"), ("LOCAL_RANK", "1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processes, "join_processes", met.append)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    return met


@pytest.mark.parametrize(
    ("asked", "count", "taken"),
    [("auto", 0, "cpu"), ("auto", 1, "cuda:0"), ("cuda", 2, "cuda:0"), ("cpu", 2, "cpu")],
)
def test_auto_takes_a_gpu_if_there_is_one(gpus, asked, count, taken):
    chosen = gpus(count)
    assert str(prepare_device(RuntimeOptions(device=asked))) == taken
    assert [str(device) for device in chosen] == ([taken] if taken != "cpu" else [])


def test_a_missing_gpu_is_an_error(gpus):
    gpus(0)
    with pytest.raises(DeviceError, match="--device cuda: PyTorch finds no GPU here"):
        prepare_device(RuntimeOptions(device="cuda"))


def test_each_process_has_its_gpu(gpus, second_of_two):
    gpus(2)
    assert str(prepare_device(RuntimeOptions(), in_many=True)) == "cuda:1"
    assert [str(device) for device in second_of_two] == ["cuda:1"]


def test_a_process_too_many_is_told_after_it_met_the_others(gpus, second_of_two):
    """Or it could not know whether another has told already."""
    gpus(1)
    with pytest.raises(DeviceError, match="this machine has 1 for process 2"):
        prepare_device(RuntimeOptions(), in_many=True)
    assert len(second_of_two) == 1


@pytest.mark.parametrize(("asked", "taken"), [(0, 4), (3, 3), (99, 8)])
def test_processes_share_the_processor(monkeypatch, second_of_two, asked, taken):
    given = []
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 8)
    monkeypatch.setattr(numba, "set_num_threads", given.append)
    module.prepare_device(RuntimeOptions(device="cpu", threads=asked), in_many=True)
    assert given == [taken]
