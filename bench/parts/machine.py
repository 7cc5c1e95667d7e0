"""What torch reaches on this machine with a matrix product of the backbone's size."""

from __future__ import annotations

import time

import torch

SHAPE = (512, 384, 1536)
_SECONDS = 0.4


def measure() -> dict[str, object]:
    """GFLOP/s of one layer's product, the best of many, in float32 and bfloat16."""
    return {
        "shape": list(SHAPE),
        "threads": torch.get_num_threads(),
        "float32_gflops": _best(torch.float32),
        "bfloat16_gflops": _best(torch.bfloat16),
    }


def _best(dtype: torch.dtype) -> float:
    rows, inner, columns = SHAPE
    a, b = torch.randn(rows, inner).to(dtype), torch.randn(inner, columns).to(dtype)
    fastest_s, end_s = float("inf"), time.perf_counter() + _SECONDS
    with torch.inference_mode():
        while time.perf_counter() < end_s:
            begin_s = time.perf_counter()
            torch.mm(a, b)
            fastest_s = min(fastest_s, time.perf_counter() - begin_s)
    return round(2 * rows * inner * columns / fastest_s / 1e9, 1)
