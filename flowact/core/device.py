"""Which device to use, and which number format is fast and safe on it."""

from __future__ import annotations

import torch


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or CUDA where present, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def choose_precision(device: torch.device) -> torch.dtype:
    """Number format for autocast: bfloat16 where the hardware multiplies it natively, float32 elsewhere.

    Emulated bfloat16 is several times slower than float32, so a processor without the instructions gets float32.
    """
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device.type == "cpu":
        abilities = torch.cpu.get_capabilities()
        native = bool(abilities.get("amx_bf16") or abilities.get("avx512_bf16"))
    else:
        native = False
    return torch.bfloat16 if native else torch.float32
