"""The nearest public streaming pipeline that runs on a CPU: SkyReels-V2 diffusion forcing, as diffusers has it.

Its transformer gets random weights and the size of FlowAct's backbone. Windows are its long-video mode: eight latent
frames, five of them the overlap that it recommends, so that each window adds one chunk of 12 frames, as a shift does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    SkyReelsV2DiffusionForcingPipeline,
    SkyReelsV2Transformer3DModel,
    UniPCMultistepScheduler,
)

from flowact.core.clock import FRAMES_PER_CHUNK, LATENTS_PER_CHUNK

SIZE = 256
OVERLAP_FRAMES, WINDOW_FRAMES = 17, 29
TEXT_TOKENS, TEXT_WIDTH = 512, 128
TRANSFORMER = {"num_attention_heads": 5, "attention_head_dim": 64, "ffn_dim": 1280, "num_layers": 8}
CODEC_WIDTHS = {"published": 96, "as small as ours": 20}
_FORMATS = (torch.float32, torch.bfloat16)


def measure(steps: int, guidance: float, codec: str, chunks: int) -> dict[str, Any]:
    """Seconds that one more chunk costs, in the number format that is faster here.

    Decoding is timed apart: the codec goes latent frame by latent frame, each costs the same in a film of any length.

    Args:
        steps: of denoising; the pipeline's own default is 50.
        guidance: above 1 every step evaluates twice; the pipeline's own default is 6.
        codec: a key of `CODEC_WIDTHS`: the published codec, or one with as many parameters as FlowAct's.
        chunks: windows after the first one that are averaged.
    """
    torch.manual_seed(0)
    pipeline = SkyReelsV2DiffusionForcingPipeline(
        None,
        None,
        SkyReelsV2Transformer3DModel(**TRANSFORMER, text_dim=TEXT_WIDTH).eval(),
        AutoencoderKLWan(base_dim=CODEC_WIDTHS[codec]).eval(),
        UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
    )
    pipeline.set_progress_bar_config(disable=True)
    precision = {
        "transformer": _choose_precision(pipeline.transformer, _evaluate),
        "codec": _choose_precision(pipeline.vae, _decode),
    }
    first_s = _denoise_s(pipeline, steps, guidance, 0)
    denoise_s = (_denoise_s(pipeline, steps, guidance, chunks) - first_s) / chunks
    decode_s = _decode_s(pipeline.vae, 1 + LATENTS_PER_CHUNK) - _decode_s(pipeline.vae, 1)
    chunk_s = denoise_s + decode_s
    return {
        "pipeline": "SkyReels-V2 diffusion forcing (diffusers)",
        "steps": steps,
        "guidance": guidance,
        "codec": codec,
        "transformer_parameters_m": _millions(pipeline.transformer),
        "codec_parameters_m": _millions(pipeline.vae),
        "precision": precision,
        "denoise_s": round(denoise_s, 4),
        "decode_s": round(decode_s, 4),
        "chunk_s": round(chunk_s, 4),
        "fps_without_encoding": round(FRAMES_PER_CHUNK / chunk_s, 3),
    }


def _choose_precision(network: torch.nn.Module, run: Callable[[torch.nn.Module, torch.dtype], object]) -> str:
    """Leave the network in the number format in which it runs faster, the better of two runs each."""
    fastest_s: dict[torch.dtype, float] = {}
    for dtype in _FORMATS:
        network.to(dtype=dtype)
        for _ in range(2):
            begin_s = time.perf_counter()
            with torch.inference_mode():
                run(network, dtype)
            fastest_s[dtype] = min(fastest_s.get(dtype, float("inf")), time.perf_counter() - begin_s)
    chosen = min(_FORMATS, key=fastest_s.__getitem__)
    network.to(dtype=chosen)
    return str(chosen).removeprefix("torch.")


def _evaluate(transformer: torch.nn.Module, dtype: torch.dtype) -> object:
    latents, words = torch.randn(1, 16, 8, SIZE // 8, SIZE // 8), torch.randn(1, TEXT_TOKENS, TEXT_WIDTH)
    level = torch.full((1, 8), 500)
    return transformer(latents.to(dtype), level, words.to(dtype), enable_diffusion_forcing=True, return_dict=False)


def _decode(codec: Any, dtype: torch.dtype, latents: int = 1) -> object:
    return codec.decode(torch.randn(1, 16, latents, SIZE // 8, SIZE // 8).to(dtype))


def _decode_s(codec: Any, latents: int) -> float:
    begin_s = time.perf_counter()
    with torch.inference_mode():
        _decode(codec, codec.dtype, latents)
    return time.perf_counter() - begin_s


def _denoise_s(pipeline: Any, steps: int, guidance: float, chunks: int) -> float:
    """Seconds of one call that makes the latents of a first window and of `chunks` more."""
    words = torch.randn(1, TEXT_TOKENS, TEXT_WIDTH).to(pipeline.transformer.dtype)
    begin_s = time.perf_counter()
    pipeline(
        prompt=None,
        prompt_embeds=words,
        negative_prompt_embeds=words,
        height=SIZE,
        width=SIZE,
        num_frames=WINDOW_FRAMES + FRAMES_PER_CHUNK * chunks,
        base_num_frames=WINDOW_FRAMES,
        overlap_history=OVERLAP_FRAMES,
        num_inference_steps=steps,
        guidance_scale=guidance,
        output_type="latent",
    )
    return time.perf_counter() - begin_s


def _millions(network: torch.nn.Module) -> float:
    return round(sum(p.numel() for p in network.parameters()) / 1e6, 2)
