"""How a model computes on this machine: its number format, its device and its threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from modelendpoint_serve.settings import Precision

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def device() -> torch.device:
    """The GPU that Ray gave this replica, else the CPU: Ray hides GPUs from who asked for none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_dtype(precision: Precision) -> torch.dtype:
    """`auto` is the fastest format that this machine computes natively and that keeps a model's answers."""
    if precision != "auto":
        return DTYPES[precision]
    if device().type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capabilities = torch.cpu.get_capabilities()
    native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if native else torch.float32


def dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def use_threads() -> int:
    """Sets torch to the CPUs of this replica, which Ray writes to OMP_NUM_THREADS, and says how many.

    More threads than CPUs is the slowest choice there is: they spin on each other's barriers.
    """
    threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    torch.set_num_threads(threads)
    return threads
