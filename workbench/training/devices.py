"""Where tensors live: the best device at hand, and whether half precision is worth it there."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

import torch

from workbench.core.errors import MissingError


@dataclass(frozen=True)
class Place:
    """This process's device and its part of a distributed job (1 of 1 when alone)."""

    device: torch.device
    rank: int = 0
    world: int = 1

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Half precision (bf16) on GPUs; nothing on CPU, where it is slower."""
        if self.device.type in ("cuda", "xpu"):
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()


def pick_device(wanted: str) -> torch.device:
    """Return `wanted`, or for `auto` the first of CUDA (ROCm calls itself so), XPU, MPS, CPU."""
    there = {
        "cuda": torch.cuda.is_available(),
        "xpu": hasattr(torch, "xpu") and torch.xpu.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if wanted == "auto":
        wanted = next(name for name, usable in there.items() if usable)
    if not there[wanted]:
        usable = [name for name, yes in there.items() if yes]
        raise MissingError(
            f"This machine has no device '{wanted}'; it has {', '.join(usable)}.",
            fix="set `device: auto` in params.yaml",
        )
    return torch.device(wanted)


@contextlib.contextmanager
def placed(wanted: str, threads: int):
    """Yield this process's Place; under `torchrun` join its process group and leave it at the end.

    threads: of torch on CPU, fixed because their number changes the last digits of sums.
    """
    torch.set_num_threads(threads)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    device = pick_device(wanted)
    if world == 1:
        yield Place(device)
        return
    import torch.distributed as dist

    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type in ("cuda", "xpu"):
        device = torch.device(device.type, local)
    dist.init_process_group({"cuda": "nccl", "xpu": "xccl"}.get(device.type, "gloo"))
    try:
        yield Place(device, rank=dist.get_rank(), world=world)
    finally:
        dist.destroy_process_group()
