"""Where a command computes, and on how many threads."""

from typing import TYPE_CHECKING

from cryomix.errors import DeviceError
from cryomix.options import RuntimeOptions

if TYPE_CHECKING:
    import torch


def prepare_device(runtime: RuntimeOptions) -> "torch.device":
    """The device asked for, with the threads of PyTorch and of the compiled kernels set.

    Raises
    ------
    DeviceError
        If it is not there.
    """
    import numba
    import torch

    if runtime.threads:
        torch.set_num_threads(runtime.threads)
        numba.set_num_threads(min(runtime.threads, numba.config.NUMBA_NUM_THREADS))
    has_cuda = torch.cuda.is_available()
    if runtime.device == "cuda" and not has_cuda:
        raise DeviceError("--device cuda: PyTorch sees no CUDA device here; use --device cpu")
    wanted = runtime.device if runtime.device != "auto" else "cuda" if has_cuda else "cpu"
    return torch.device(wanted)
