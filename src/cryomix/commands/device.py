"""Where a command computes, and on how many threads."""

from typing import TYPE_CHECKING

from cryomix.errors import DeviceError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    import torch


def prepare_device(runtime: RuntimeOptions) -> "torch.device":
    """The device, with the threads of the compiled kernels and of PyTorch set.

    Every kernel of this version is for the processor: ``auto`` is the processor, and a GPU is
    refused rather than left idle.

    Raises
    ------
    DeviceError
        If another device is asked for.
    """
    import numba
    import torch

    if runtime.device == "cuda":
        raise DeviceError("--device cuda: this version computes on the processor only; use cpu")
    if runtime.threads:
        # Numba first: when its threads start, it overrides what PyTorch was told before.
        numba.set_num_threads(min(runtime.threads, numba.config.NUMBA_NUM_THREADS))
        torch.set_num_threads(runtime.threads)
    return torch.device("cpu")
