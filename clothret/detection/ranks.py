"""The processes that train one model together: started by torchrun, or this one alone.

Gradients are averaged in one flat buffer, in one order. `DistributedDataParallel` forms its
buckets anew after the first step, so that a resumed run would add in another order and end in
other bits; one buffer also costs one message. Batch statistics travel with the gradients, so
that every process holds the same network after every step.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among those that train together.

    Attributes:
        rank: of this process, from 0.
        world: number of processes.
        device: where this process computes.
    """

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def total(self, values: list[float]) -> list[float]:
        """Sums over all processes."""
        if self.world == 1:
            return values
        summed = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return summed.tolist()

    def gather(self, value: Any) -> list[Any]:
        """The `value` of every process, by rank."""
        if self.world == 1:
            return [value]
        everyone: list[Any] = [None] * self.world
        distributed.all_gather_object(everyone, value)
        return everyone

    def average(self, tensors: list[Tensor]) -> None:
        """Replace float tensors by their mean over all processes, in one message."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat /= self.world
        parts = flat.split([tensor.numel() for tensor in tensors])
        torch._foreach_copy_(tensors, [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def broadcast(self, model: nn.Module) -> None:
        """Give every process the weights and statistics of the first."""
        if self.world > 1:
            for tensor in model.state_dict().values():
                distributed.broadcast(tensor, 0)


def local_rank() -> int:
    """Number of this process on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined_ranks(*, timeout: timedelta = timedelta(minutes=30)) -> Iterator[Ranks]:
    """Join the processes that torchrun started: nccl where there are GPUs, otherwise gloo."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", local_rank()) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(0, 1, device)
        return
    distributed.init_process_group(
        "nccl" if gpu else "gloo", timeout=timeout, device_id=device if gpu else None
    )
    try:
        yield Ranks(distributed.get_rank(), world, device)
    finally:
        distributed.destroy_process_group()
