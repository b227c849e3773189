"""Where a command computes, on how many threads, and in how many processes."""

import os
import sys
from typing import TYPE_CHECKING

from cryomix.errors import DeviceError, ProcessError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    import torch


def prepare_device(runtime: RuntimeOptions, *, in_many: bool = False) -> "torch.device":
    """The device, with the threads of the compiled kernels and of PyTorch set.

    Parameters
    ----------
    runtime
        ``auto`` takes a GPU if there is one. Training and inference run on it; every other step
        is compiled for the processor, and runs there beside it.
    in_many
        Whether the command can run in many processes, one for each GPU or share of a machine.
        It meets the others here.

    Raises
    ------
    DeviceError
        If a GPU is asked for that is not there.
    ProcessError
        If the command runs in one process only and torchrun started more, or if they do not
        meet.
    """
    if _process_count() > 1 and not in_many:
        raise ProcessError(
            f"only train and reconstruct run in many processes; torchrun started "
            f"{_process_count()} of this command"
        )
    import torch

    has_gpu = runtime.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda", _local_rank()) if has_gpu else torch.device("cpu")
    if _process_count() > 1:
        from cryomix.processes import join_processes

        join_processes(device)
    _require_device(runtime, device)
    _set_threads(runtime.threads)
    return device


def is_quiet() -> bool:
    """Whether another process of this run talks to the user."""
    return _process_count() > 1 and os.environ.get("RANK", "0") != "0"


def may_complain() -> bool:
    """Whether this process is the one that says what went wrong; only one of a run does."""
    if "cryomix.processes" in sys.modules:
        from cryomix.processes import has_joined, is_first_to_fail

        if has_joined():
            return is_first_to_fail()
    return not is_quiet()


def _process_count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0")) if _process_count() > 1 else 0


def _require_device(runtime: RuntimeOptions, device: "torch.device") -> None:
    import torch

    if device.type == "cpu":
        if runtime.device == "cuda":
            raise DeviceError("--device cuda: PyTorch finds no GPU here; use auto or cpu")
        return
    found = torch.cuda.device_count()
    if device.index >= found:
        raise DeviceError(
            f"--device {runtime.device}: each process needs a GPU of its own, but this machine "
            f"has {found} for process {device.index + 1}; start fewer, or use cpu"
        )
    torch.cuda.set_device(device)


def _set_threads(asked: int) -> None:
    """Of the compiled kernels and of PyTorch; processes on one machine share its processors."""
    import numba
    import torch

    most: int = numba.config.NUMBA_NUM_THREADS
    neighbors = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if _process_count() > 1 else 1
    if not asked and neighbors == 1:
        return
    threads = asked or max(1, most // neighbors)
    # Numba first: when its threads start, it overrides what PyTorch was told before.
    numba.set_num_threads(min(threads, most))
    torch.set_num_threads(threads)
