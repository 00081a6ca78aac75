"""What torch computes on: for reports of bugs. Imports torch, and opens no model."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Devices:
    """What torch finds on this machine.

    Args:
        gpus: the names of the GPUs that it can use.
        threads: on how many threads it computes on the CPU.
        build: what it was built for: "CPU", or the version of CUDA or ROCm.
    """

    gpus: tuple[str, ...]
    threads: int
    build: str


def find_devices() -> Devices:
    """Return what torch finds on this machine."""
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("Apple (MPS)")
    cuda, rocm = torch.version.cuda, getattr(torch.version, "hip", None)
    build = f"CUDA {cuda}" if cuda else f"ROCm {rocm}" if rocm else "CPU"
    return Devices(tuple(gpus), torch.get_num_threads(), build)
