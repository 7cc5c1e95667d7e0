"""Exact integer time: how ticks, frames, latents, chunks and samples relate. No floats, so nothing drifts."""

FPS = 25
SAMPLE_RATE_HZ = 16_000
FRAMES_PER_LATENT = 4
LATENTS_PER_CHUNK = 3
CHUNKS_IN_STREAM = 3

TICK_MS = 1000 // FPS
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
FRAMES_PER_CHUNK = FRAMES_PER_LATENT * LATENTS_PER_CHUNK
SAMPLES_PER_LATENT = SAMPLES_PER_FRAME * FRAMES_PER_LATENT
SAMPLES_PER_CHUNK = SAMPLES_PER_FRAME * FRAMES_PER_CHUNK
SHIFT_S = FRAMES_PER_CHUNK / FPS


def frames_to_samples(frames: int) -> int:
    """Number of 16 kHz samples that sound during `frames` video frames."""
    return frames * SAMPLES_PER_FRAME


def chunks_for_samples(samples: int) -> int:
    """Number of chunks needed to cover `samples` of audio, the last one possibly padded with silence."""
    return -(-samples // SAMPLES_PER_CHUNK)


def chunks_for_seconds(seconds: float) -> int:
    """Number of chunks needed to cover `seconds` of video; at least one."""
    return max(1, chunks_for_samples(round(seconds * SAMPLE_RATE_HZ)))
