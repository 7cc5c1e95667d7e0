"""Which device to use, and which number format is fast and safe on it."""

from __future__ import annotations

import time
from functools import cache

import torch

_SIDE, _ROUNDS = 512, 5


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or CUDA where present, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def choose_precision(device: torch.device) -> torch.dtype:
    """Number format for autocast: bfloat16 where the hardware multiplies it natively, float32 elsewhere.

    Emulated bfloat16 is several times slower than float32, so a processor without the instructions gets float32. So
    does one that has them and gains nothing: Intel's multiply bfloat16 at half the speed of float32 where the matrix
    units (AMX) are switched off, as in many virtual machines.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        abilities = torch.cpu.get_capabilities()
        native = bool(abilities.get("amx_bf16") or (abilities.get("avx512_bf16") and _bfloat16_is_faster()))
    else:
        native = False
    return torch.bfloat16 if native else torch.float32


@cache
def _bfloat16_is_faster() -> bool:
    """Multiply matrices in both formats, in turns so that a busy neighbour slows both; takes some 20 ms."""
    best = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    for _ in range(_ROUNDS):
        for dtype in best:
            a = torch.ones(_SIDE, _SIDE, dtype=dtype)
            begin_s = time.perf_counter()
            torch.mm(a, a)
            best[dtype] = min(best[dtype], time.perf_counter() - begin_s)
    return best[torch.bfloat16] < best[torch.float32]
