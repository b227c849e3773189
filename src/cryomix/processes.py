"""One run in many processes, on one machine or several: shares, sums, and who speaks.

Everything here does nothing, at no cost, in a run of one process. No object is ever sent, only
tensors: the other way would be by pickles.
"""

import atexit
import datetime
import os
from collections.abc import Sequence
from functools import cache

import torch
import torch.distributed as dist
from jaxtyping import Int64
from torch import Tensor

from cryomix.errors import ProcessError

_PATIENCE = datetime.timedelta(days=1)  # torchrun notices at once that a process has ended
_MEETING = datetime.timedelta(minutes=10)
_FIRST = 0


def join_processes(device: torch.device) -> None:
    """Meet the other processes that torchrun started, to send tensors of the CPU or `device`.

    Raises
    ------
    ProcessError
        If they cannot be reached.
    """
    # Its functions keep the group, if there is one when they are defined, as a default to the end:
    # then the group's threads outlive it, and one that asks for Python too late ends the process.
    import torch.distributed.nn.functional  # noqa: F401

    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "cpu:gloo"
    try:
        dist.init_process_group(
            backend,
            store=_store(),
            rank=int(os.environ["RANK"]),
            world_size=int(os.environ["WORLD_SIZE"]),
            timeout=_PATIENCE,
        )
    except RuntimeError as error:
        raise _lost(error) from error
    atexit.register(dist.destroy_process_group)


def has_joined() -> bool:
    """Whether this run has other processes, which were met."""
    return dist.is_available() and dist.is_initialized()


def process_count() -> int:
    """How many processes take part in this run."""
    return dist.get_world_size() if has_joined() else 1


def is_first_process() -> bool:
    """Whether this is the process that writes files."""
    return not has_joined() or dist.get_rank() == _FIRST


def is_first_to_fail() -> bool:
    """Whether no other process has failed before, so that a mistake is told by one of them."""
    if not has_joined():
        return True
    try:
        return _store().add("failed", 1) == 1
    except RuntimeError:  # the first process, which keeps the store, has ended
        return False


def positions_here(index: Int64[Tensor, "chosen"], count: int) -> Int64[Tensor, "_"] | slice:
    """Which entries of `index`, into `count` particles, this process works on.

    Each process owns one block of the particles, whatever the order they come in, so that every
    image is read and prepared by one process only.
    """
    if not has_joined():
        return slice(None)
    owner = index * dist.get_world_size() // count
    return (owner == dist.get_rank()).nonzero()[:, 0]


def share_here(index: Int64[Tensor, "chosen"]) -> Int64[Tensor, "_"]:
    """The part of `index` that this process works on; all parts have the same length but one."""
    if not has_joined():
        return index
    return index.tensor_split(dist.get_world_size())[dist.get_rank()]


def sum_over_processes(tensors: Sequence[Tensor]) -> None:
    """Put the sum over all processes in the place of each tensor, in one message.

    Every process gets the same bits.
    """
    if not has_joined() or not tensors:
        return
    flat = torch.cat([_as_real(tensor).flatten() for tensor in tensors])
    try:
        dist.all_reduce(flat)
    except RuntimeError as error:
        raise _lost(error) from error
    parts = flat.split([_as_real(tensor).numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        _as_real(tensor).copy_(part.view(_as_real(tensor).shape))


def sum_on_first(tensor: Tensor) -> None:
    """Put the sum over all processes in the place of `tensor` on the first; spoil the others'."""
    if not has_joined():
        return
    try:
        dist.reduce(_as_real(tensor), dst=_FIRST)
    except RuntimeError as error:
        raise _lost(error) from error


def take_from_first(tensors: Sequence[Tensor]) -> None:
    """Put the first process's values in the place of each tensor."""
    if not has_joined():
        return
    try:
        for tensor in tensors:
            # Of a view that skips elements, a broadcast would send what lies in between.
            whole = tensor.contiguous()
            dist.broadcast(whole, src=_FIRST)
            tensor.copy_(whole)
    except RuntimeError as error:
        raise _lost(error) from error


def agree(value: int) -> int:
    """What the first process says; the others wait for it."""
    said = torch.tensor([value])
    take_from_first([said])
    return int(said)


@cache
def _store() -> "dist.Store":
    """The noticeboard at MASTER_ADDR:MASTER_PORT, which torchrun keeps."""
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://", timeout=_MEETING))
    return store


def _as_real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _lost(error: RuntimeError) -> ProcessError:
    return ProcessError(f"another process of this run cannot be reached: {error}")
